"""`headrace up` and `headrace worker`: what is started where, and what is refused."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from services.cli.up import NEXT, _show
from services.cli.worker import Name
from services.lab.installation import local_stack
from shared.infrastructure.ladder import Rung
from shared.infrastructure.workers import WORKERS
from shared.settings import Settings


def test_every_worker_that_up_starts_can_be_run_alone() -> None:
    assert {name.value for name in Name} == {spec.kind for spec in WORKERS}


def test_a_worker_that_there_is_not_is_answered_with_those_that_there_are(headrace) -> None:
    done = headrace("worker", "embeder")
    assert done.code == 2
    assert all(spec.kind in done.usage for spec in WORKERS)


def test_a_server_from_nowhere_is_answered_with_where_they_come_from(headrace) -> None:
    done = headrace("up", "--broker", "rabbit")
    assert done.code == 2
    assert all(rung.value in done.usage for rung in Rung)


def test_a_data_directory_made_with_other_servers_is_refused_with_the_way_out(headrace, tmp_path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "servers").write_text("docker broker, docker Redis")
    done = headrace("up", "--data-dir", "data", "--broker", "embedded", "--redis", "embedded")
    assert done.code == 2
    assert done.error == (
        "data was made with docker broker, docker Redis, not embedded broker, embedded Redis: "
        "use those, or give another --data-dir"
    )


def test_where_everything_is_is_shown_without_the_password_of_redis(
    headrace, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("HEADRACE_REDIS", "redis://user:hunter2@cache:6379/0")
    stack = local_stack(Settings.load(data_dir=tmp_path / "d"), ["search"], redis=Rung.EXTERNAL)
    stack.ports = {"search": 8800}
    out = io.StringIO()
    _show(stack, Console(file=out, width=80, no_color=True))
    text = out.getvalue()
    assert "hunter2" not in text
    assert "cache:6379/0" in text
    assert "http://127.0.0.1:8800" in text
    assert all(command in text for command in NEXT)
    assert max(map(len, text.splitlines())) <= 80


def test_the_commands_that_it_recommends_exist(headrace) -> None:
    for command in NEXT:
        words = command.split()[1:]
        group = words[0] if len(words) == 1 or words[1].startswith(('"', "-")) else " ".join(words[:2])
        assert headrace(*group.split(), "--help").code == 0


@pytest.mark.parametrize("name", ["HEADRACE_KAFKA", "HEADRACE_REDIS"])
def test_servers_that_are_configured_are_used_and_others_embedded(
    headrace, monkeypatch, tmp_path, name
) -> None:
    for variable in ("HEADRACE_KAFKA", "HEADRACE_REDIS"):
        monkeypatch.delenv(variable)
    address = {"HEADRACE_KAFKA": "127.0.0.1:1", "HEADRACE_REDIS": "redis://127.0.0.1:2/0"}[name]
    monkeypatch.setenv(name, address)
    local_stack(Settings.load(data_dir=tmp_path / "d"), [])
    expected = {
        "HEADRACE_KAFKA": "external broker, embedded Redis",
        "HEADRACE_REDIS": "embedded broker, external Redis",
    }
    assert (tmp_path / "d" / "servers").read_text() == expected[name]
