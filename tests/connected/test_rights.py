"""A worker whose rights on a real Kafka are taken away waits for them, says so, and goes on by itself."""

import asyncio
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.control import Command
from shared.infrastructure import topics
from shared.infrastructure.process import Process
from shared.infrastructure.server import Server
from shared.ports import outgoing
from shared.settings import Settings
from tests.connected.killing import until
from tests.connected.publishing import publish
from tests.connected.secured import SecuredKafka, as_settings

pytestmark = [
    pytest.mark.faults,
    pytest.mark.connected,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif("KAFKA_HOME" not in os.environ, reason="KAFKA_HOME names no Apache Kafka"),
]
NAMESPACE = "rights"
PREFIXED = ("--resource-pattern-type", "prefixed")
TOPICS = ("--operation", "All", "--topic", f"{NAMESPACE}.", *PREFIXED)
GROUPS = ("--operation", "All", "--group", f"{NAMESPACE}-", *PREFIXED)


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[SecuredKafka]:
    broker = SecuredKafka(Path(os.environ["KAFKA_HOME"]), tmp_path / "broker")
    broker.start()
    broker.grant(*TOPICS)
    broker.grant(*GROUPS)
    yield broker
    broker.stop()


@pytest.fixture
def settings(secured: SecuredKafka, valkey: Server, tmp_path: Path) -> Settings:
    configured = Settings(
        kafka=secured.address,
        kafka_security=as_settings(secured.environment),  # type: ignore[arg-type]  # checked by the model
        redis=valkey.address,  # type: ignore[arg-type]  # as above
        topic_prefix=f"{NAMESPACE}.",
        namespace=NAMESPACE,
        data_dir=tmp_path / "data",
        partitions=1,
    )
    asyncio.run(topics.apply(configured))
    return configured


@pytest.fixture
def worker(settings: Settings, secured: SecuredKafka, valkey: Server, tmp_path: Path) -> Iterator[Process]:
    environment = {
        **os.environ,
        **secured.environment,
        "HEADRACE_KAFKA": secured.address,
        "HEADRACE_REDIS": valkey.address,
        "HEADRACE_TOPIC_PREFIX": settings.topic_prefix,
        "HEADRACE_NAMESPACE": NAMESPACE,
        "HEADRACE_DATA_DIR": str(settings.data_dir),
        "HEADRACE_LOG__FORMAT": "json",
        "HEADRACE_INSTANCE": "plain",
    }
    process = Process(
        [sys.executable, "-m", "tests.connected.plain_worker"],
        log=tmp_path / "worker.log",
        environment=environment,
    )
    process.launch()
    yield process
    process.stop()


def test_rights_that_are_taken_away_and_given_back_end_no_worker(
    worker: Process, secured: SecuredKafka, settings: Settings
) -> None:
    until(lambda: says(worker, "worker.started"), why=worker.tail)
    for lost in (TOPICS, GROUPS):
        secured.take_away(*lost)
        if lost is TOPICS:
            until(lambda: says(worker, "topic.unreadable") and says(worker, "kafka-acls"), why=worker.tail)
        else:
            until(lambda: says(worker, "commands.away"), why=worker.tail)
        secured.grant(*lost)
        until(lambda: hears(worker, settings), why=worker.tail)
    assert worker.exit_code is None


def says(worker: Process, words: str) -> bool:
    assert worker.exit_code is None, worker.tail()
    return worker.log.exists() and words in worker.log.read_text(errors="replace")


def hears(worker: Process, settings: Settings) -> bool:
    """Send a command, and say whether it was carried out."""
    sent = datetime.now(UTC)
    command = Command(
        command_id=f"c{sent.timestamp():.0f}",
        name="log.level",
        arguments={"level": "info"},
        requested_at=sent,
    )
    publish(settings, [outgoing(command)])
    deadline = datetime.now(UTC).timestamp() + 3
    while datetime.now(UTC).timestamp() < deadline:
        if says(worker, command.command_id):
            return True
    return False
