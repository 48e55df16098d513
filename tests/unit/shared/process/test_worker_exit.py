"""With which code a worker ends, and what is said of it."""

import gc
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import ConfigurationError, FatalError, FencedError, TransientError
from shared.process import worker as worker_module
from shared.process.worker import EXIT_CONFIGURATION, EXIT_FAILED, Worker, run
from shared.section import Section
from shared.settings import Settings


@pytest.mark.parametrize(
    ("code", "failure", "expected"),
    [
        (0, None, 0),
        (3, None, 3),
        (0, FatalError("state is gone"), EXIT_FAILED),
        (0, FencedError("newer owner"), EXIT_FAILED),
        (0, TransientError("away"), EXIT_FAILED),
        (0, KeyError("a bug"), EXIT_FAILED),
        (3, ConfigurationError("no such model"), EXIT_CONFIGURATION),
    ],
)
def test_the_exit_code_says_whether_another_start_can_help(code, failure, expected):
    assert Worker("test", Settings(), port=0).exit_code(code, failure) == expected


async def test_it_is_not_ready_before_it_has_started_and_no_more_once_it_stops():
    worker = Worker("test", Settings(), port=0)
    worker.ready("model", lambda: None)
    assert {name: check() for name, check in worker._checks.items()} == {
        "start": "still starting",
        "commands": "not listening yet",
        "model": None,
    }
    worker._components._components = []
    worker.commands.begin({})
    await worker.start()
    assert not any(check() for check in worker._checks.values())
    await worker.stop()
    assert worker._checks["start"]() == "still starting"


class UnitSettings(Section):
    port: int = 0


class SampleSettings(Settings):
    """The settings of a worker whose folder is `unit`, which is this module's."""

    unit: UnitSettings = UnitSettings()


def sample(settings: SampleSettings) -> Worker:
    return Worker("sample", settings, port=0)


def exit_code(build: Callable[[SampleSettings], Worker]) -> object:
    """Return the code with which a worker's `__main__` ends."""
    with pytest.raises(SystemExit) as ended:
        run(SampleSettings, build)
    return ended.value.code


async def entered(settings: SampleSettings, *, worker: str, port: int) -> SampleSettings:
    """Enter an installation that asks for nothing."""
    assert (worker, port) == ("unit", settings.unit.port)
    return settings


@pytest.fixture(autouse=True)
def _in_a_directory_without_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HEADRACE_LOG__FORMAT", "json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(worker_module, "enter_when_there", entered)


def test_a_setting_that_is_wrong_ends_it_before_it_is_built(monkeypatch, capfd):
    monkeypatch.setenv("HEADRACE_PARTITIONS", "0")
    assert exit_code(sample) == EXIT_CONFIGURATION
    said = "".join(capfd.readouterr())
    assert "partitions: Input should be greater than or equal to 1" in said
    assert "Traceback" not in said


def test_a_worker_that_cannot_be_built_is_a_wrong_configuration(capfd):
    def build(settings: SampleSettings) -> Worker:
        raise ConfigurationError("no such model")

    assert exit_code(build) == EXIT_CONFIGURATION
    said = "".join(capfd.readouterr())
    assert '"error": "no such model"' in said
    assert "Traceback" not in said


def test_a_bug_in_it_is_no_wrong_configuration():
    def build(settings: SampleSettings) -> Worker:
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        run(SampleSettings, build)


class Ended(Worker):
    """A worker whose run is over."""

    def run(self) -> int:
        return 0


def test_the_interpreters_last_collections_have_nothing_left_to_look_at():
    try:
        assert exit_code(lambda settings: Ended("sample", settings, port=0)) == 0
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_a_port_that_another_has_is_said_before_anything_is_started(capfd):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert exit_code(lambda settings: Worker("sample", settings, port=port)) == EXIT_CONFIGURATION
    assert f"cannot listen on 127.0.0.1:{port}" in "".join(capfd.readouterr())
