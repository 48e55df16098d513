"""The command line starts without its engines, and says in one line what is wrong."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.main import COMMANDS, CommandEntry, load
from shared.errors import ConfigurationError
from shared.extras import EXTRAS

ENGINES = (
    {"torch", "transformers", "sentence_transformers", "ctranslate2", "onnxruntime", "tokenizers"}
    | {
        "faust",
        "faiss",
        "tantivy",
        "scipy",
        "sklearn",
        "matplotlib",
        "datasketches",
        "pyarrow",
    }
    | {"fastapi", "starlette", "uvicorn", "grpc", "fastavro", "charset_normalizer"}
)
"""No command needs any of them to be asked for; what computes, serves or reads a format imports its own."""
CLIENTS = {"aiokafka", "redis", "httpx", "numpy", "prometheus_client", "pydantic_settings"}
"""What a command that talks to an installation needs at once; 0.1 s each."""
TALKS = {
    "demo": set(),
    "load": CLIENTS - {"redis", "httpx", "prometheus_client"},
    "up": CLIENTS - {"numpy", "httpx", "prometheus_client"},
    "search": {"httpx", "pydantic_settings"},
    "fields": {"httpx", "pydantic_settings"},
    "drift": {"httpx", "pydantic_settings"},
    "simulate": CLIENTS - {"redis", "prometheus_client"},
    "negatives": {"redis", "pydantic_settings"},
    "rollout": CLIENTS,
    "canaries": CLIENTS - {"numpy", "prometheus_client"},
    "alerts": {"aiokafka", "pydantic_settings"},
    "catalogue": {"aiokafka", "httpx", "pydantic_settings"},
    "dlq": {"aiokafka", "httpx", "pydantic_settings"},
    "train": {"aiokafka", "httpx", "pydantic_settings"},
    "models": {"aiokafka", "numpy", "pydantic_settings"},
    "evaluate": CLIENTS - {"numpy", "httpx", "prometheus_client"},
    "adopt": {"aiokafka", "redis", "pydantic_settings"},
}
"""Which of them a command imports when it is asked for; one that is not named, none."""
ROOT = Path(__file__).parents[3]
GROUPS = {
    "alerts": {"tail", "resolve"},
    "bench": {"ingest", "judgements", "learn", "shards", "drift", "encoder", "gate", "trial"}
    | {"backfill", "load", "restarts", "search", "soak", "kinds"},
    "canaries": {"add", "remove", "list", "import", "run"},
    "config": {"show"},
    "dataset": {"build", "show"},
    "dlq": {"list", "show", "replay"},
    "drift": {"status"},
    "judgements": {"show", "export", "rebuild"},
    "models": {"list", "show", "check", "import", "convert", "quantize"},
    "rollout": {"status", "backfill", "trial", "stop", "promote", "rollback", "retire"},
    "schemas": {"export", "validate"},
    "shards": {"list", "snapshot", "verify", "move", "rebuild"},
    "topics": {"list", "show", "diff", "apply"},
    "verify": {"index", "judgements", "trials"},
}
"""The commands that have commands of their own; the others are one each."""


def in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "120", "NO_COLOR": "1"},
    )


def test_help_lists_every_command_with_its_line() -> None:
    shown = in_a_process("--help").stdout
    for name, entry in COMMANDS.items():
        assert (f" {name} " in shown and entry.help in shown) is not entry.hidden, name


def test_every_module_of_the_package_is_a_command_or_prints_for_one() -> None:
    modules = {path.stem for path in (ROOT / "services" / "cli").glob("*.py")}
    assert {entry.target.partition(":")[0].rpartition(".")[2] for entry in COMMANDS.values()} == modules - {
        "__init__",
        "main",
        "bench_kinds",
        "bench_parts",
        "bench_search",
        "bench_soak",
        "dataset_view",
        "demo_play",
        "load_report",
        "load_view",
        "log_view",
        "here",
        "listing",
        "neighbours",
        "options",
        "progress",
        "trial_view",
        "up_load",
    }


def imported_by(*arguments: str) -> set[str]:
    """Return the packages that are imported to answer."""
    program = (
        "import sys, services.cli.main as m\n"
        f"try: m.app({list(arguments)!r})\n"
        "except SystemExit: pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_imports_nothing_heavy() -> None:
    assert not imported_by("--help") & (ENGINES | CLIENTS | {"pydantic", "structlog"})


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_no_engine_and_only_the_clients_that_it_needs(command: str) -> None:
    """By what is imported, and not by a clock: engines are seconds, a client is 0.1 s."""
    imported = imported_by(command, "--help")
    assert imported & ENGINES == set()
    assert imported & CLIENTS <= TALKS.get(command, set())


def test_an_unknown_command_is_answered_with_the_nearest_one(headrace) -> None:
    done = headrace("topcs")
    assert done.code == 2
    assert "topics" in done.usage


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (("search", "lamp", "--mod", "dense"), "--mode"),
        (("simulate", "--session", "5"), "--sessions"),
        (("evaluate", "--dat", "."), "--data"),
        (("dlq", "replay", "t", "--reasons", "x"), "--reason"),
        (("train", "--job"), "--jobs"),
        (("demo", "--exits"), "--exit"),
    ],
)
def test_an_unknown_option_is_answered_with_the_nearest_one(headrace, arguments, nearest) -> None:
    done = headrace(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "No such option" in done.usage
    assert nearest in done.usage


@pytest.mark.parametrize(
    ("group", "mistyped", "nearest"), [("dlq", "repay", "replay"), ("topics", "dif", "diff")]
)
def test_an_unknown_command_of_a_group_is_answered_with_the_nearest_one(headrace, group, mistyped, nearest):
    done = headrace(group, mistyped)
    assert done.code == 2
    assert nearest in done.usage


def test_without_arguments_it_says_that_nothing_runs_and_how_to_begin(headrace) -> None:
    done = headrace()
    assert done.code == 0
    assert done.lines[0] == "No installation runs here (data: .headrace). To begin:"
    assert "headrace demo see the whole loop at work on a sample shop" in done.lines
    assert done.fits()


def test_without_arguments_it_says_what_runs_and_what_comes_next(headrace, running_here) -> None:
    running_here({"search": 8800})
    done = headrace()
    assert done.lines[0] == f"An installation runs here (process {os.getpid()}, data: .headrace):"
    assert "search http://127.0.0.1:8800" in done.lines
    assert 'headrace search "waterproof jacket"' in done.lines


def test_the_version_is_shown(headrace) -> None:
    done = headrace("--version")
    assert done.code == 0
    assert re.match(r"headrace (\d|, from a source tree)", done.out)


def test_a_wrong_setting_is_one_line_and_exit_code_2(headrace, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADRACE_CONFIG", "")  # --config sets it: it must be as it was afterwards
    file = tmp_path / "headrace.toml"
    file.write_text("partitions = 0\n")
    done = headrace("--config", str(file), "config", "show")
    assert done.code == 2
    assert done.error.startswith("configuration: partitions: ")


def test_a_configuration_file_that_is_not_there_is_an_error(headrace) -> None:
    done = headrace("--config", "missing.toml", "config", "show")
    assert done.code == 2
    assert "missing.toml" in done.usage


def test_a_command_can_be_stopped_where_signals_without_a_handler_are_ignored() -> None:
    command = [sys.executable, "-m", "services.cli.main", "schemas", "validate", "-", "--topic", "alerts.v1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        while not handles(process.pid, signal.SIGTERM):
            assert process.poll() is None
            os.sched_yield()
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM


def handles(pid: int, number: int) -> bool:
    caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_help_within_the_terminal(headrace, name: str) -> None:
    done = headrace(name, "--help")
    assert done.code == 0
    assert f"Usage: headrace {name}" in " ".join(done.out.split())
    assert "--install-completion" not in done.out  # that is asked of `headrace` alone
    assert done.fits()


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_has_the_commands_that_it_had(headrace, group: str) -> None:
    assert set(load(group).commands) == GROUPS[group]  # type: ignore[attr-defined]  it is a group
    for command in GROUPS[group]:
        assert headrace(group, command, "--help").code == 0


@pytest.mark.parametrize("package", EXTRAS)
def test_a_package_that_is_missing_is_named_with_what_installs_it(
    headrace, monkeypatch, tmp_path: Path, package: str
) -> None:
    name = f"needs_{package}"
    (tmp_path / f"{name}.py").write_text(f"import {package}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(COMMANDS, "search", CommandEntry(f"{name}:app", "needs a package"))
    done = headrace("search", "lamp")
    assert done.code == 2
    assert done.error == f"`headrace search` needs the package {package}: make install"


def test_a_package_that_is_missed_only_while_a_command_runs_is_named_as_well(
    headrace, monkeypatch, tmp_path: Path
) -> None:
    (tmp_path / "needs_late.py").write_text("def late() -> None:\n    import torch\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(COMMANDS, "search", CommandEntry("needs_late:late", "needs a package"))
    done = headrace("search")
    assert (done.code, done.error) == (2, "this command needs the package torch: make install")


def test_a_package_that_no_extra_has_is_named_alone(monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "needs_something.py").write_text("import something_else\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(COMMANDS, "odd", CommandEntry("needs_something:app", ""))
    with pytest.raises(ConfigurationError, match=r"needs the package something_else$"):
        load("odd")


def test_a_command_whose_module_is_not_installed_says_so(monkeypatch) -> None:
    monkeypatch.setitem(COMMANDS, "odd", CommandEntry("no_such_module:app", ""))
    with pytest.raises(ConfigurationError, match="`headrace odd` is not part of this installation"):
        load("odd")


def test_a_plain_function_is_a_command_too(headrace, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "plain_command.py").write_text("def say(word: str) -> None:\n    print(word)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(COMMANDS, "search", CommandEntry("plain_command:say", "says a word"))
    assert headrace("search", "hello").out == "hello\n"
