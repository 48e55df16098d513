"""What the pages name exists: links, files, classes, functions, tests, settings, commands, targets."""

import ast
import importlib
import json
import re
import shlex
import tomllib
from functools import cache
from itertools import pairwise
from typing import get_args

import pytest

from schemas.control import Command
from schemas.topics import DEAD_LETTER_SUFFIX, all_topics
from services.cli.main import COMMANDS, load
from services.lab.configuration import rows
from tests.architecture.pages import PAGES, ROOT, anchors, blocks, commands, links, name, spans
from tests.architecture.syntax import syntax

every_page = pytest.mark.parametrize("page", PAGES, ids=name)
PACKAGES = ("schemas", "shared", "headrace", "services", "tests")
PLACES = (*PACKAGES, "docs", "deploy")
NOT_OURS = {"model.encode", "headrace.toml", "headrace.reason", "headrace.cut"}
"""What looks like a setting or a module: a method of a library, a file, a header."""


def defined(nodes):
    """Return the names that a module or class defines, and their nodes."""
    found = {}
    for node in nodes:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = node
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return found


def defines(path, dotted):
    """Whether the file defines that class, function, constant, method or field."""
    nodes = syntax(ROOT / path).body
    for part in dotted.split("."):
        node = defined(nodes).get(part)
        if node is None:
            return False
        nodes = getattr(node, "body", [])
    return True


@cache
def classes():
    """Return every class of the tree with what its body defines."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    nodes = [node for path in files for node in ast.walk(syntax(path))]
    return {node.name: set(defined(node.body)) for node in nodes if isinstance(node, ast.ClassDef)}


@every_page
def test_every_link_leads_somewhere(page):
    lost = []
    for link in links(page):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            lost.append(link)
    assert lost == []


@every_page
def test_every_file_it_names_exists_and_defines_what_it_says(page):
    wrong = []
    for span in spans(page):
        path, colon, definition = span.partition(":")
        if not path.startswith(tuple(f"{place}/" for place in PLACES)) or re.search(
            r"[<>*… ]|\b(?:NAME|TOPIC)\b", path
        ):
            continue
        if not (ROOT / path).exists() or (colon and not defines(path, definition)):
            wrong.append(span)
    assert wrong == []


@every_page
def test_every_module_it_names_exists(page):
    wrong = []
    for span in spans(page):
        if span not in NOT_OURS and re.fullmatch(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)+", span):
            parts = span.split(".")
            places = [ROOT.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)]
            modules = [
                (end, place) for end, place in enumerate(places, 1) if place.with_suffix(".py").exists()
            ]
            rest = [".".join(parts[end:]) for end, _ in modules]
            files = [place.with_suffix(".py").relative_to(ROOT).as_posix() for _, place in modules]
            known = places[-1].is_dir() or any(
                not tail or defines(file, tail) for file, tail in zip(files, rest, strict=True)
            )
            if not known:
                wrong.append(span)
    assert wrong == []


@every_page
def test_every_class_it_names_exists(page):
    wrong = []
    for span in spans(page):
        match = re.fullmatch(r"([A-Z][a-z]+(?:[A-Z][a-z]+)+)(?:\.(\w+))?", span)
        if match is None:
            continue
        class_name, member = match.groups()
        if class_name not in classes() or (member and member not in classes()[class_name]):
            wrong.append(span)
    assert wrong == []


@cache
def settings_rows():
    return rows()


@every_page
def test_every_setting_it_names_exists(page):
    settings = {row.name for row in settings_rows()}
    variables = {row.variable for row in settings_rows()} | {"HEADRACE_CONFIG", "HEADRACE_DATA"}
    sections = {setting.partition(".")[0] for setting in settings if "." in setting}
    parents = {
        ".".join(parts[:end]) for parts in (s.split(".") for s in settings) for end in range(1, len(parts))
    }
    topics = {topic.name.removesuffix(".v1") for topic in all_topics("g1")}
    orders = set(get_args(Command.model_fields["name"].annotation))
    wrong = []
    for span in spans(page):
        if re.fullmatch(r"[a-z_]+(?:\.[a-z0-9_]+)+", span) and span.partition(".")[0] in sections:
            bare = span.removesuffix(DEAD_LETTER_SUFFIX).removesuffix(".v1")
            if span not in settings | parents | orders | NOT_OURS and bare not in topics:
                wrong.append(span)
        wrong += [
            variable
            for variable in re.findall(r"HEADRACE_[A-Z0-9_]+[A-Z0-9]", span)
            if variable not in variables
        ]
    assert wrong == []


@every_page
def test_every_command_it_names_exists_with_its_options(page):
    wrong = []
    for use in commands(page):
        words = [word for word in shlex.split(use)[1:] if word != "…"]
        command, rest = load(words[0]) if words[0] in COMMANDS else None, words[1:]
        while getattr(command, "commands", None) and rest and not rest[0].startswith("-"):
            command, rest = command.commands.get(rest[0]), rest[1:]
        known = {
            name
            for option in getattr(command, "params", ())
            for name in (*option.opts, *option.secondary_opts)
        }
        options = {word.partition("=")[0] for word in rest if word.startswith("--")}
        if command is None or options - known - {"--help"}:
            wrong.append(use)
    assert wrong == []


@every_page
def test_every_block_of_code_is_what_it_says(page):
    for language, code in blocks(page):
        if language == "json":
            json.loads(code)
        if language == "python":
            body = compile(code, name(page), "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT).body
            for node in body:
                if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in PACKAGES:
                    file = f"{str(node.module).replace('.', '/')}.py"
                    package = None if (ROOT / file).exists() else importlib.import_module(str(node.module))
                    given = [alias.name for alias in node.names]
                    assert all(
                        defines(file, one) if package is None else one in package.__all__ for one in given
                    ), ast.unparse(node)


@every_page
def test_every_make_target_it_names_exists(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {match[1] for span in spans(page) if (match := re.match(r"make ([a-z]+)\b", span))}
    assert named - targets == set()


def test_every_decision_is_in_the_index_and_in_order():
    index = ROOT / "docs" / "decisions" / "README.md"
    files = sorted(path.name for path in index.parent.glob("[0-9]*.md"))
    assert [link for link in links(index) if re.match(r"\d", link)] == [files[0], *files[1:]]
    numbers = [file[:3] for file in files]
    assert all(before < after for before, after in pairwise(numbers))


def test_a_decision_says_when_why_and_what_would_change_it():
    for page in (ROOT / "docs" / "decisions").glob("[0-9]*.md"):
        text = page.read_text("utf-8")
        assert page.name == "000-template.md" or text.startswith(f"# {page.name[:3]} "), page.name
        assert re.search(r"^Date: (\d{4}-\d\d-\d\d|YYYY-MM-DD)", text, re.MULTILINE), page.name
        for heading in ("Context", "Decision", "Consequences", "What would change our mind"):
            assert f"## {heading}\n" in text, f"{page.name} has no {heading!r}"


def test_every_word_of_the_glossary_says_where_it_is():
    text = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    words = [row for row in re.findall(r"^\| (.*) \|$", text, re.MULTILINE) if not row.startswith("word |")]
    assert len(words) >= 40
    cells = [re.split(r" \| ", row) for row in words]
    assert [row for row in cells if len(row) != 4] == []
    assert [word for word, *_, place in cells if not re.fullmatch(r"`[\w/]+\.py:[\w.]+`", place)] == []
    assert len({word for word, *_ in cells}) == len(cells)


def test_the_architecture_names_every_room():
    named = set(spans(ROOT / "ARCHITECTURE.md"))
    rooms = {
        path.relative_to(ROOT).as_posix()
        for top in ("shared", "services")
        for path in (ROOT / top).iterdir()
        if not path.name.startswith("__")
    }
    assert rooms - named == set()


def test_the_walk_opens_only_what_the_architecture_names():
    named = [
        {span.partition(":")[0] for span in spans(ROOT / page)}
        for page in ("docs/walk.md", "ARCHITECTURE.md")
    ]
    workers = {
        f"services/{folder}/{file}" for folder in ("embedder", "shards") for file in ("__init__.py", "app.py")
    }
    opened = {path for path in named[0] if path.startswith(("schemas/", "shared/", "services/"))}
    assert len(opened) > 30
    assert opened - named[1] - workers == set()


def test_the_operator_finds_every_port_and_every_alert():
    text = (ROOT / "docs" / "operator.md").read_text("utf-8")
    ports = {
        row.name.removesuffix(".port"): row.value for row in settings_rows() if row.name.endswith(".port")
    }
    assert {worker for worker, port in ports.items() if f"| {worker} | {port} |" not in text} == set()
    [table] = re.findall(r"^\| key begins with .*\n\|[-|]*\n((?:\|.*\n)*)", text, re.MULTILINE)
    listed = {key for row in table.splitlines() for key in re.findall(r"`([a-z-]+)`", row.split(" | ")[0])}
    assert listed == set(detectors()) | {
        *("offset-gap", "topic-made-anew", "producer-time", "snapshot", "fingerprint", "rollout", "paused"),
        *("schema-unknown", "truncated", "trial", "trial-better", "generation-unserved"),
    }


def detectors():
    """Yield the detector of every alert that the monitor raises: the first argument of `alert_key`."""
    for path in sorted((ROOT / "services" / "monitor").rglob("*.py")):
        file = path.relative_to(ROOT).as_posix()
        constants = {
            target: node.value.value
            for target, node in defined(syntax(ROOT / file).body).items()
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        }
        yield from (
            constants[call.args[0].id]
            for call in ast.walk(syntax(ROOT / file))
            if isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id in {"alert_key", "canary_key"}
            and isinstance(call.args[0], ast.Name)
            and call.args[0].id in constants
        )


def test_the_rooms_of_shared_stand_as_the_contract_has_them():
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    rows = re.findall(r"^\| (`shared/.*?) \|", text, re.MULTILINE)
    shown = [set(re.findall(r"`shared/(\w+)(?:\.py)?`", row)) for row in rows]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    [layers] = [
        [set(layer.split(" | ")) for layer in contract["layers"]]
        for contract in contracts
        if contract.get("containers") == ["shared"]
    ]
    assert [rooms for rooms in shown if rooms in layers] == layers
