"""The worker as a process, on a real broker: killed while the shoppers stream in, and started again."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from schemas.search import SearchEvent, SearchQuery
from services.judgements.domain.recount import differences
from services.judgements.reading import read_judgements
from shared.infrastructure import topics
from shared.infrastructure.process import Process, free_port
from shared.infrastructure.stack import DRAIN
from shared.kafka.publisher import KafkaPublisher
from shared.records import Outgoing
from tests.connected.judgements.stage import PARTITIONS, Bus, fill, recounted, settings_of

pytestmark = pytest.mark.connected
PATIENCE = 90
LIVES = 3


@pytest.fixture
async def settings(kafka, redis_url, topic_prefix, namespace):
    chosen = settings_of(namespace).model_copy(
        update={"kafka": kafka, "redis": SecretStr(redis_url), "topic_prefix": topic_prefix}
    )
    await topics.apply(chosen, wait=timedelta(seconds=20))
    return chosen


def surroundings(settings):
    return os.environ | {
        "HEADRACE_KAFKA": settings.kafka,
        "HEADRACE_REDIS": settings.redis.get_secret_value(),
        "HEADRACE_TOPIC_PREFIX": settings.topic_prefix,
        "HEADRACE_NAMESPACE": settings.namespace,
        "HEADRACE_PARTITIONS": str(PARTITIONS),
    }


def printed(settings, *arguments):
    """Return what `headrace judgements ... --json` prints."""
    command = [sys.executable, "-m", "services.cli.main", "judgements", *arguments]
    done = subprocess.run(command, env=surroundings(settings), capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


@contextmanager
def worker(settings, log: Path) -> Iterator[tuple[Process, int]]:
    port = free_port()
    environment = surroundings(settings) | {
        "HEADRACE_JUDGEMENTS__PORT": str(port),
        "HEADRACE_DATA_DIR": str(log.parent / "data"),
    }
    process = Process([sys.executable, "-m", "services.judgements"], log=log, environment=environment)
    process.launch()
    try:
        yield process, port
    finally:
        process.kill()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not await holds():
        assert time.monotonic() < deadline, "not in time"


def slices(bus, count):
    """Cut the topics into pieces, each partition in its order, queries and events mixed."""
    records = [*bus.read(SearchQuery.topic), *bus.read(SearchEvent.topic)]
    records.sort(key=lambda record: (record.offset, record.partition))
    size = len(records) // count + 1
    return [records[start : start + size] for start in range(0, len(records), size)]


async def send(settings, records):
    publisher = KafkaPublisher(settings)
    await publisher.start()
    await publisher.publish(
        [
            Outgoing(it.partition.topic, it.key, it.value, (), it.partition.number, it.timestamp)
            for it in records
        ]
    )
    await publisher.stop()


async def published_since(settings, moment):
    return any(it.updated_at > moment for it in await read_judgements(settings))


async def test_judgements_are_the_recount_after_kills(settings, tmp_path):
    now, bus, log = datetime.now(UTC), Bus(), tmp_path / "worker.log"
    fill(bus, random.Random(7), queries=800, now=now)
    expected = recounted(bus, settings, now)
    assert len(expected) > 20
    for records in slices(bus, LIVES):
        begun = datetime.now(UTC)
        with worker(settings, log) as (process, _):
            await send(settings, records)
            await until(partial(published_since, settings, begun))
            process.kill()

    async def agrees():
        return not differences(expected, await read_judgements(settings))

    with worker(settings, log) as (process, port):
        await until(agrees)
        await until(partial(answers, port, expected))
        assert len(printed(settings, "show", "Red  Shoes", "--json")["judgements"]) > 0
        assert process.stop(within=DRAIN) == 0
    assert await agrees()


async def answers(port, expected):
    """Return whether the worker's own page shows the same pairs."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        try:
            page = (await client.get("/judgements", params={"query": "RED  shoes"})).json()
        except httpx.ConnectError:  # it is still starting
            return False
    shown = {it["product_id"] for it in page["judgements"]}
    return shown == {pair.product_id for pair in expected if pair.query == "red shoes"}
