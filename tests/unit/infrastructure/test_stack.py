"""Workers as processes: started with what they need, watched, started again, and given up when hopeless."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from shared.errors import ConfigurationError, FatalError, TransientError
from shared.infrastructure.server import External
from shared.infrastructure.stack import Stack
from shared.infrastructure.supervision import Backoff
from shared.infrastructure.workers import WORKERS, WorkerSpec
from shared.settings import Settings

SOON = timedelta(seconds=60)
NOW = Backoff(first=timedelta(0), longest=timedelta(0))
ROOT = Path(__file__).parents[3]
MakeStack = Callable[..., Stack]


def worker(does: str, name: str = "") -> WorkerSpec:
    return WorkerSpec(
        "search", name=name, module="tests.unit.infrastructure.sample_worker", environment={"SAMPLE": does}
    )


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeStack]:
    """Return what makes an installation of these workers, on servers that nobody asks."""
    monkeypatch.chdir(ROOT)
    made: list[Stack] = []

    def make(*workers: WorkerSpec, **options: object) -> Stack:
        settings = Settings(data_dir=tmp_path / "data", kafka="broker:9092", namespace="shop", partitions=7)
        made.append(
            Stack(
                settings,
                broker=External("broker:9092"),
                redis=External("redis://cache"),
                workers=workers,
                **options,
            )  # type: ignore[arg-type]
        )
        return made[-1]

    yield make
    for installation in made:
        installation.kill_workers()


def ended(stack: Stack, name: str) -> None:
    """Wait until the process of a worker has ended, and leave it to whoever asks how."""
    pid = stack.pid(name)
    assert pid is not None
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_worker_is_ready_when_its_port_says_so(stack: MakeStack):
    running = stack(worker("ready"))
    running.start_worker("search")
    running.wait_ready(within=SOON)
    assert running.not_ready() == {}
    assert running.stop_worker("search") == 0


def test_a_worker_knows_the_installation_and_its_own_port(stack: MakeStack):
    running = stack(worker("ready", "search-2"))
    running.start_worker("search-2")
    running.wait_ready(within=SOON)
    told = json.loads(running.tail("search-2").splitlines()[0])
    assert told["HEADRACE_KAFKA"] == "broker:9092"
    assert (told["HEADRACE_NAMESPACE"], told["HEADRACE_PARTITIONS"]) == ("shop", "7")
    assert told["HEADRACE_INSTANCE"] == "search-2"
    assert told["HEADRACE_SEARCH__PORT"] == str(running.ports["search-2"])
    assert Path(told["HEADRACE_DATA_DIR"]).is_absolute()


def test_whoever_asks_the_search_api_is_told_where_it_is(stack: MakeStack):
    running = stack(WorkerSpec("search", port=8800), WorkerSpec("monitor"))
    environment = running.environment(WorkerSpec("monitor", environment={"HEADRACE_NAMESPACE": "mine"}))
    assert environment["HEADRACE_MONITOR__SEARCH_URL"] == "http://127.0.0.1:8800"
    assert environment["HEADRACE_NEGATIVES__SEARCH_URL"] == "http://127.0.0.1:8800"
    assert environment["HEADRACE_NAMESPACE"] == "mine"  # what is asked of one worker goes before


def test_every_worker_has_a_port_of_its_own(stack: MakeStack):
    ports = stack(*WORKERS).ports
    assert ports.keys() == {spec.kind for spec in WORKERS}
    assert len(set(ports.values())) == len(ports)


def test_what_is_not_ready_is_named_with_its_reasons(stack: MakeStack):
    running = stack(worker("waiting", "a"), worker("odd", "b"), worker("3", "c"))
    for name in ("a", "b", "c"):
        running.start_worker(name)
    ended(running, "c")
    reasons = running.not_ready()
    while "does not answer yet" in reasons.values():
        reasons = running.not_ready()
    assert reasons == {"a": "shards: 2 of 4, model: loading", "b": "not ready", "c": "ended with code 3"}


def test_one_that_takes_too_long_is_told_with_what_it_waits_for(stack: MakeStack):
    running = stack(worker("waiting"))
    running.start_worker("search")
    with pytest.raises(TransientError, match="not ready after 1 s: search: "):
        running.wait_ready(within=timedelta(seconds=1))


def test_one_that_ended_meanwhile_is_told_with_the_end_of_its_log(stack: MakeStack):
    running = stack(worker("3"))
    running.start_worker("search")
    with pytest.raises(FatalError, match=r"search ended with code 3; the end of its log:\n.*HEADRACE_KAFKA"):
        running.wait_ready(within=SOON)


# Supervision


def test_a_worker_that_was_killed_is_started_again(stack: MakeStack):
    running = stack(worker("ready"))
    running.start_worker("search")
    running.wait_ready(within=SOON)
    running.kill("search")
    running.supervise_once(NOW)  # sees it
    running.supervise_once(NOW)  # its wait is over
    running.wait_ready(within=SOON)
    assert running.pid("search") is not None


def test_it_is_not_started_before_its_wait_is_over(stack: MakeStack):
    running = stack(worker("1"))
    running.start_worker("search")
    ended(running, "search")
    pid = running.pid("search")
    for _ in range(3):
        running.supervise_once(Backoff(first=timedelta(hours=1), longest=timedelta(hours=1)))
    assert running.pid("search") == pid


def test_one_whose_configuration_is_wrong_ends_the_installation_with_the_end_of_its_log(stack: MakeStack):
    running = stack(worker("2"))
    running.start_worker("search")
    ended(running, "search")
    with pytest.raises(FatalError, match=r"search cannot start; the end of its log:\n.*HEADRACE_KAFKA"):
        running.supervise_once(NOW)


def test_one_that_ended_on_purpose_is_left_alone(stack: MakeStack):
    running = stack(worker("0"))
    running.start_worker("search")
    ended(running, "search")
    pid = running.pid("search")
    for _ in range(3):
        running.supervise_once(NOW)
    assert running.pid("search") == pid
    assert running.not_ready() == {}


def test_one_that_was_stopped_stays_stopped(stack: MakeStack):
    running = stack(worker("ready"))
    running.start_worker("search")
    running.wait_ready(within=SOON)
    running.stop_worker("search")
    for _ in range(3):
        running.supervise_once(NOW)
    assert running.pid("search") is None


def test_one_that_is_started_again_is_another_process_of_the_same_name_and_port(stack: MakeStack):
    running = stack(worker("ready"))
    running.start_worker("search")
    running.wait_ready(within=SOON)
    before, port = running.pid("search"), running.ports["search"]
    running.stop_worker("search")
    running.start_worker("search")
    running.wait_ready(within=SOON)
    assert running.pid("search") != before
    assert running.ports["search"] == port
    assert len((running.logs() / "search.log").read_text().splitlines()) == 2


def test_lines_are_given_with_the_name_of_their_worker(stack: MakeStack):
    told: list[tuple[str, str]] = []
    running = stack(worker("0", "a"), lines=lambda name, line: told.append((name, line)))
    running.start_worker("a")
    ended(running, "a")
    running.stop_worker("a")
    assert [name for name, _ in told] == ["a"]
    assert "HEADRACE_KAFKA" in told[0][1]


# One at a time

HOLD = """
import fcntl, signal, sys
lock = open(sys.argv[1], "a+")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
signal.pause()
"""


def test_two_installations_do_not_share_a_data_directory(stack: MakeStack, tmp_path: Path):
    (tmp_path / "data").mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "data" / "up.lock")], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(
            ConfigurationError, match=r"something already runs on .*another HEADRACE_DATA_DIR"
        ):
            stack(worker("ready")).start()
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_what_was_never_started_stops_nothing_of_another(stack: MakeStack, tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "running.json").write_text("{}")
    stack(worker("ready")).stop()
    assert (tmp_path / "data" / "running.json").exists()
