"""Two real collectors before a real broker: what was answered 202 is on the bus, whatever happens."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from pathlib import Path

import httpx
import pytest

from schemas.catalogue import ProductChange
from schemas.search import SearchEvent
from shared.infrastructure.broker import EmbeddedBroker
from shared.infrastructure.ladder import Rung, choose_broker, choose_redis
from shared.infrastructure.stack import Stack
from shared.infrastructure.workers import WorkerSpec
from shared.kafka.partitioning import partition_of
from shared.kafka.topic_reader import TopicReader
from shared.records import Record
from shared.settings import Settings
from tests.connected.killing import until, until_ready

pytestmark = [pytest.mark.connected, pytest.mark.timeout(300)]
TOKEN = "a-token-of-the-shop"  # noqa: S105 - of this test
ONE, OTHER = "collector-1", "collector-2"
WITHIN = timedelta(seconds=2)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory: Path = tmp_path_factory.mktemp("collector")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    settings = {
        "HEADRACE_COLLECTOR__TOKENS": json.dumps([TOKEN]),
        "HEADRACE_COLLECTOR__ACKNOWLEDGED_WITHIN": f"{WITHIN.total_seconds():g}s",
        "HEADRACE_COLLECTOR__PER_CLIENT": "0",
        "HEADRACE_COLLECTOR__RATE": "1000000",
    }
    stack = Stack(
        Settings.model_validate({"data_dir": directory, "partitions": 2}),
        broker=choose_broker(environment, data_dir=directory / "broker"),
        redis=choose_redis({}, rung=Rung.EMBEDDED, data_dir=directory / "valkey"),
        workers=[WorkerSpec("collector", name=name, environment=settings) for name in (ONE, OTHER)],
    )
    with stack:
        until_ready(stack)
        yield stack


def click(event_id: str) -> dict[str, object]:
    return {
        "action_name": "click",
        "timestamp": "2026-11-30T12:00:00Z",
        "query_id": "q",
        "event_id": event_id,
    }


def post(stack: Stack, name: str, path: str, body: object, **headers: str) -> httpx.Response:
    return httpx.post(f"{stack.url(name)}{path}", json=body, headers=headers, timeout=30, trust_env=False)


def records(stack: Stack, topic: str) -> list[Record]:
    async def read() -> list[Record]:
        async with TopicReader(stack.settings, [topic]) as reader:
            return [record async for record in reader.news()]

    return asyncio.run(read())


def event_ids(stack: Stack) -> list[str]:
    return [json.loads(record.value or b"")["event_id"] for record in records(stack, SearchEvent.topic)]


def test_what_is_accepted_is_where_its_reader_looks(stack: Stack) -> None:
    raw = {
        "product_id": "SHOE-1",
        "op": "upsert",
        "version": 1,
        "fields": {"title": "Trail shoe", "price": 99.5},
    }
    assert post(stack, ONE, "/changes", raw).status_code == 401
    assert post(stack, ONE, "/changes", raw, Authorization=f"Bearer {TOKEN}").status_code == 202
    [change] = records(stack, ProductChange.topic)
    assert (change.key, json.loads(change.value or b"")) == (b"SHOE-1", raw)
    assert change.partition.number == partition_of(b"SHOE-1", stack.settings.partitions)
    assert post(stack, OTHER, "/events", [click("first")]).json() == {"accepted": 1, "rejected": []}
    assert "first" in event_ids(stack)


def test_of_two_collectors_one_is_killed_in_the_midst_and_nothing_acknowledged_is_lost(stack: Stack) -> None:
    acknowledged: list[str] = []
    refused = threading.Event()
    numbers, guard = count(), threading.Lock()

    def shop(name: str) -> None:
        while not refused.is_set():
            with guard:
                ids = [f"killed-{next(numbers)}" for _ in range(5)]
            try:
                answer = post(stack, name, "/events", [click(event_id) for event_id in ids])
            except httpx.HTTPError:  # killed: whether they are written nobody knows
                refused.set()
                return
            assert answer.status_code == 202
            with guard:
                acknowledged.extend(ids)

    with ThreadPoolExecutor(6) as pool:
        shops = [pool.submit(shop, name) for name in (ONE, ONE, ONE, OTHER, OTHER, OTHER)]
        until(lambda: len(acknowledged) > 200)
        stack.kill(ONE)
        until(refused.is_set)
    for one in shops:
        one.result()
    assert set(acknowledged) <= set(event_ids(stack))
    stack.start_worker(ONE)
    until_ready(stack)


def test_without_a_broker_the_answer_is_503_in_time_and_it_works_again_after(stack: Stack) -> None:
    pids = [stack.pid(name) for name in (ONE, OTHER)]
    if isinstance(stack.broker, EmbeddedBroker):
        stack.broker.stop()  # it loses its last writes when it is killed
    else:
        stack.broker.kill()
    for number in range(3):
        for name in (ONE, OTHER):
            answer = post(stack, name, "/events", [click(f"away-{number}")])
            assert (answer.status_code, answer.json()["title"]) == (503, "kafka.away")
            assert answer.elapsed < WITHIN + timedelta(seconds=5)
            assert int(answer.headers["retry-after"]) > 0
    assert httpx.get(f"{stack.url(ONE)}/livez", trust_env=False).status_code == 200
    stack.broker.start()
    for name in (ONE, OTHER):
        until(lambda name=name: post(stack, name, "/events", [click(f"back-{name}")]).status_code == 202)
    assert {f"back-{ONE}", f"back-{OTHER}"} <= set(event_ids(stack))
    assert [stack.pid(name) for name in (ONE, OTHER)] == pids


def test_sockets_that_say_nothing_or_half_of_it_hinder_nobody(stack: Stack) -> None:
    address = ("127.0.0.1", stack.ports[ONE])
    idle = [socket.create_connection(address) for _ in range(64)]
    half = [socket.create_connection(address) for _ in range(16)]
    for one in half:
        one.sendall(b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[{")
    try:
        assert post(stack, ONE, "/events", [click("beside")]).status_code == 202
    finally:
        for one in (*idle, *half):
            one.close()
    huge = b"[" + b" " * 10_000_000 + b"]"
    answer = httpx.post(f"{stack.url(ONE)}/events", content=huge, timeout=30, trust_env=False)
    assert answer.status_code == 413


def test_what_was_refused_and_why_is_in_the_metrics(stack: Stack) -> None:
    post(stack, ONE, "/events", [click("good"), {"timestamp": 1}])
    post(stack, ONE, "/events", [], Origin="https://evil.example")
    text = httpx.get(f"{stack.url(ONE)}/metrics", trust_env=False).text
    for line in (
        'headrace_collector_accepted_total{kind="event"}',
        'headrace_collector_rejected_total{kind="event",reason="field.missing"}',
        'headrace_http_refused_total{code="origin.refused"}',
    ):
        assert line in text
