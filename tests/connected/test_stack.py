"""An installation on one machine starts, watches over its workers, stops, and resumes."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from shared.errors import ConfigurationError, FatalError
from shared.infrastructure import running
from shared.infrastructure.broker import EmbeddedBroker
from shared.infrastructure.stack import Stack
from shared.infrastructure.supervision import Backoff
from shared.infrastructure.valkey import EmbeddedValkey
from shared.infrastructure.workers import WorkerSpec
from shared.settings import Settings

pytestmark = pytest.mark.connected
MODULE = "tests.connected.dummy_worker"
QUICK = Backoff(first=timedelta(milliseconds=50))


def make_stack(directory: Path, *specs: WorkerSpec, seen: list[tuple[str, str]] | None = None) -> Stack:
    workers = specs or (
        WorkerSpec("dummy", name="one", module=MODULE),
        WorkerSpec("dummy", name="two", module=MODULE),
    )
    return Stack(
        Settings(data_dir=directory),
        broker=EmbeddedBroker(directory / "broker"),
        redis=EmbeddedValkey(directory / "valkey"),
        workers=workers,
        lines=(lambda name, line: seen.append((name, line))) if seen is not None else None,
    )


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEADRACE_KAFKA", "HEADRACE_KAFKA_EMBEDDED", "HEADRACE_REDIS", "HEADRACE_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with make_stack(tmp_path) as stack:
        stack.wait_ready(within=timedelta(seconds=20))
        yield stack


def until(holds: Callable[[], bool], stack: Stack | None = None) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        if stack:
            stack.supervise_once(QUICK)
        os.sched_yield()


def crash(stack: Stack, name: str, code: int) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{stack.url(name)}/crash/{code}")


def test_workers_get_the_addresses_and_other_commands_find_them(stack: Stack) -> None:
    answer = httpx.get(stack.url("one")).text
    found = running.discover(Settings(data_dir=stack.settings.data_dir))
    assert found.kafka == stack.broker.address
    assert found.kafka in answer
    assert running.read(stack.settings.data_dir).ports == stack.ports  # type: ignore[union-attr]  it is there


def test_workers_and_commands_are_told_that_the_broker_is_the_embedded_one(stack: Stack) -> None:
    assert stack.environment(WorkerSpec("dummy", name="one"))["HEADRACE_KAFKA_EMBEDDED"] == "True"
    assert running.discover(Settings(data_dir=stack.settings.data_dir)).kafka_embedded


def test_a_second_one_on_the_same_directory_is_refused_in_one_line(stack: Stack) -> None:
    second = make_stack(stack.settings.data_dir)
    with pytest.raises(ConfigurationError, match=rf"already runs on .*process {os.getpid()}"):
        second.start()
    second.stop()
    assert running.read(stack.settings.data_dir)


@pytest.mark.parametrize("how", ["killed", "failed"])
def test_a_worker_that_dies_is_started_again(stack: Stack, how: str) -> None:
    before = stack.pid("one")
    if how == "killed":
        stack.kill("one")
    else:
        crash(stack, "one", 1)
    until(lambda: stack.pid("one") not in {None, before} and not stack.not_ready(), stack)


def test_a_worker_that_ends_with_code_0_or_was_stopped_stays_away(stack: Stack) -> None:
    crash(stack, "one", 0)
    assert stack.stop_worker("two") == 0
    until(lambda: not stack.not_ready(), stack)
    assert stack.pid("two") is None


def test_a_worker_whose_configuration_is_wrong_ends_it_all(tmp_path: Path) -> None:
    spec = WorkerSpec("dummy", module=MODULE, environment={"DUMMY_EXIT": "2"})
    with make_stack(tmp_path, spec) as stack, pytest.raises(FatalError, match="dummy cannot start"):
        until(lambda: False, stack)


def test_waiting_for_a_worker_that_ended_shows_why(tmp_path: Path) -> None:
    spec = WorkerSpec("dummy", module=MODULE, environment={"DUMMY_EXIT": "7"})
    with make_stack(tmp_path, spec) as stack, pytest.raises(FatalError, match="ended with code 7"):
        stack.wait_ready(within=timedelta(seconds=10))


def test_everything_stops_and_starts_again_on_the_same_data(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []
    for _ in range(2):
        with make_stack(tmp_path, seen=seen) as stack:
            stack.wait_ready(within=timedelta(seconds=20))
        assert sorted(name for name, line in seen if "stopped" in line) == ["one", "two"]
        assert not running.read(tmp_path)
        seen.clear()


def test_a_broker_that_died_is_started_again(stack: Stack) -> None:
    stack.broker.kill()
    until(lambda: stack.broker.running, stack)
