"""A worker that is told to end ends by itself: nothing kills it, nothing cuts Faust short.

On the embedded broker and on what the ladder has; with the broker there, and with the broker away. One that
something holds up ends all the same, before whoever waits for it gives up.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue

import pytest

from schemas.control import Command
from shared.infrastructure import topics
from shared.infrastructure.broker import EmbeddedBroker
from shared.infrastructure.containers import docker_answers
from shared.infrastructure.ladder import Rung, choose_broker, decide_broker
from shared.infrastructure.process import Process
from shared.infrastructure.server import Server
from shared.kafka.publisher import KafkaPublisher
from shared.ports import outgoing
from shared.settings import Settings

pytestmark = pytest.mark.connected
LADDER = {name: value for name, value in os.environ.items() if name != "HEADRACE_KAFKA"}
RUNGS = sorted({Rung.EMBEDDED, decide_broker(LADDER, docker=docker_answers()).rung})
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OPERATORS_PATIENCE = timedelta(seconds=30)
PATIENCE_SECONDS = 60


@pytest.fixture(params=RUNGS, ids=str)
def broker_of_rung(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    server = choose_broker(LADDER, rung=request.param, data_dir=tmp_path / "broker")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(broker_of_rung: Server) -> Settings:
    embedded = isinstance(broker_of_rung, EmbeddedBroker)
    settings = Settings(kafka=broker_of_rung.address, kafka_embedded=embedded)
    asyncio.run(topics.apply(settings))
    return settings


class RunningWorker:
    """A worker's process, and what it has logged and nobody has read yet."""

    def __init__(self, module: str, settings: Settings, directory: Path) -> None:
        given = {
            "KAFKA": settings.kafka,
            "KAFKA_EMBEDDED": str(settings.kafka_embedded),
            "DATA_DIR": str(directory),
            "LOG__FORMAT": "json",
        }
        self._lines: Queue[str] = Queue()
        self.process = Process(
            [sys.executable, "-m", f"tests.connected.{module}"],
            log=directory / f"{module}.log",
            environment={**os.environ, **{f"HEADRACE_{name}": value for name, value in given.items()}},
            lines=self._lines.put,
        )
        self.process.launch()

    def until(self, word: str) -> None:
        """Read its log up to the line with `word`."""
        while word not in self._lines.get(timeout=PATIENCE_SECONDS):
            pass

    def end(self) -> list[str]:
        """Tell it to end, and return the events that it logs until it has."""
        assert self.process.stop(within=OPERATORS_PATIENCE) == 0
        lines = [self._lines.get_nowait() for _ in range(self._lines.qsize())]
        return [json.loads(line)["event"] for line in lines if line.startswith("{")]


@pytest.fixture
def worker(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Iterator[RunningWorker]:
    running = RunningWorker(getattr(request, "param", "plain_worker"), settings, tmp_path)
    yield running
    running.process.kill()


async def until_faust_runs(worker: RunningWorker, settings: Settings) -> None:
    """Return when Faust's agent has executed a command: its consumer has joined its group, and reads."""
    worker.until("worker.started")
    publisher = KafkaPublisher(settings)
    await publisher.start()
    order = Command(command_id="1", name="log.level", arguments={"level": "info"}, requested_at=NOW)
    await publisher.publish([outgoing(order)])
    await publisher.stop()
    worker.until("command.received")


def test_a_worker_ends_by_itself(worker: RunningWorker, settings: Settings) -> None:
    asyncio.run(until_faust_runs(worker, settings))
    assert "worker.stopped" in worker.end()


def test_a_worker_ends_by_itself_while_its_broker_is_away(
    worker: RunningWorker, settings: Settings, broker_of_rung: Server
) -> None:
    asyncio.run(until_faust_runs(worker, settings))
    broker_of_rung.kill()
    worker.until("Failed fetch messages")
    assert "worker.stopped" in worker.end()


@pytest.mark.slow
@pytest.mark.parametrize("broker_of_rung", [Rung.EMBEDDED], indirect=True)
def test_a_worker_ends_by_itself_while_its_broker_hangs(
    worker: RunningWorker, settings: Settings, broker_of_rung: Server
) -> None:
    asyncio.run(until_faust_runs(worker, settings))
    pid = broker_of_rung._process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        assert "worker.stopped" in worker.end()
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.parametrize("broker_of_rung", [Rung.EMBEDDED], indirect=True)
@pytest.mark.parametrize("worker", ["held_up_worker"], indirect=True)
def test_a_worker_that_is_held_up_ends_in_time_and_says_by_what(
    worker: RunningWorker, settings: Settings
) -> None:
    asyncio.run(until_faust_runs(worker, settings))
    assert worker.end()[-1] == "process.stop_cut"
    last = json.loads(worker.process.tail(1))
    assert last["code"] == 0
    assert [name for name in last["tasks"] if name.startswith("stop HeldUp: ")]
    assert [name for name in last["threads"] if name.startswith("held up: ")]
