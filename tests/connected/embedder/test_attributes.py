"""What touches no text is published without vectors, beside the index record, and nothing of it is lost."""

from collections.abc import Callable
from random import Random

import orjson
import pytest

from schemas.catalogue import Document
from schemas.index import AttributeRecord, IndexRecord, attributes_key
from services.embedder.domain.state import unpack_product
from shared.errors import RewindError, TransientError
from shared.records import Outgoing

from .conftest import PARTITION, Bench, batch, change
from .test_crashes import assert_records_say, random_change

pytestmark = pytest.mark.connected

LAMP = change("p", "upsert", 1, title="lamp", price=1)


async def after(bench: Bench, *changes: object) -> list[Outgoing]:
    """Return what each of the changes, in a batch of its own, has published."""
    handler = bench.handler()
    first = await handler.assigned(PARTITION) or 0
    before = len(bench.bus.log)
    for offset, one in enumerate(changes, first):
        await handler.handle(PARTITION, batch(offset, one))
    return bench.bus.log[before:]


def compacted(log: list[Outgoing]) -> list[Outgoing]:
    """Return what is left of it when the broker has compacted it all."""
    last = {message.key: place for place, message in enumerate(log)}
    return [message for place, message in enumerate(log) if last[message.key] == place and message.value]


async def test_a_price_is_published_beside_the_record_and_its_vectors_are_not(bench: Bench) -> None:
    _, price = await after(bench, LAMP, change("p", "patch", 2, price=2))
    assert price.key == attributes_key("p")
    record = AttributeRecord.decode(price.value or b"")
    assert record.changes.fields == {"price": 2}
    assert (record.source.offset, record.epoch) == (1, bench.bus.latest["p"].epoch)
    assert len(price.value or b"") < 450
    assert bench.bus.latest["p"].document.fields == {"title": "lamp", "price": 2}


async def test_the_last_of_them_says_all_since_the_record(bench: Bench) -> None:
    versions = enumerate(({"price": 2}, {"stock": 0}, {"a": 1}), 2)
    prices = [change("p", "patch", version, **fields) for version, fields in versions]
    log = await after(bench, LAMP, *prices)
    bench.bus.log = compacted(log)
    assert len(bench.bus.log) == 2
    assert bench.bus.latest["p"].document.fields == {"title": "lamp", "price": 2, "stock": 0, "a": 1}


async def test_a_product_that_is_written_whole_with_another_price_is_not_embedded_nor_its_vectors_sent(
    bench: Bench,
) -> None:
    _, price = await after(bench, LAMP, change("p", "upsert", 2, title="lamp", price=2))
    assert price.key == attributes_key("p")
    assert bench.bus.latest["p"].document.fields == {"title": "lamp", "price": 2}
    assert [revision.version for revision in bench.bus.latest["p"].document.revisions] == [(2,)]
    assert bench.encoder.embedded == 1


@pytest.mark.parametrize("ending", [change("p", "patch", 3, title="red lamp"), change("p", "delete", 3)])
async def test_a_new_text_or_a_delete_is_an_index_record_and_ends_it(bench: Bench, ending: object) -> None:
    _, _, record, end = await after(bench, LAMP, change("p", "patch", 2, price=2), ending)
    assert IndexRecord.decode(record.value or b"").source.offset == 2
    assert (end.key, end.value) == (attributes_key("p"), None)
    assert [message.key for message in compacted(bench.bus.log)] == [b"p"]


async def test_a_product_that_comes_back_is_published_with_its_vectors(bench: Bench) -> None:
    log = await after(bench, LAMP, change("p", "delete", 2), change("p", "upsert", 3, title="lamp", price=2))
    assert [message.key for message in log] == [b"p"] * 3
    assert bench.bus.latest["p"].vectors


def of_earlier_version(document: Document) -> bytes:
    """Return a document as the first version of this state wrote it down."""
    names = ("line", "version", "appended", "digest", "partial", "op", "fields", "replaces", "kept")
    revisions = [[getattr(one, name) for name in names] for one in document.revisions]
    return orjson.dumps([document.fields, revisions, document.base, document.owners], default=list)


async def test_what_an_earlier_version_stored_is_published_whole_once(bench: Bench, namespace: str) -> None:
    await after(bench, LAMP)
    [documents] = [key async for key in bench.redis.scan_iter(f"{namespace}:*documents")]
    packed = await bench.redis.hget(documents, "p")
    await bench.redis.hset(documents, "p", of_earlier_version(unpack_product(packed).document))
    log = await after(bench, change("p", "patch", 2, price=2), change("p", "patch", 3, price=3))
    assert [message.key for message in log] == [b"p", attributes_key("p")]
    assert bench.bus.latest["p"].vectors == bench.bus.records[0].vectors
    assert bench.encoder.embedded == 1


async def test_a_lost_state_is_the_join_of_both(bench: Bench, forget: Callable[[], object]) -> None:
    await after(bench, LAMP, change("p", "patch", 2, price=2), change("p", "patch", 3, stock=0))
    bench.bus.log = compacted(bench.bus.log)
    await forget()
    [message] = await after(bench, change("p", "patch", 4, a=1))
    assert message.key == attributes_key("p")
    assert bench.bus.latest["p"].document.fields == {"title": "lamp", "price": 2, "stock": 0, "a": 1}
    assert bench.encoder.embedded == 1


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_is_compacted_killed_and_forgotten_both_together_say_the_truth(
    bench: Bench, forget: Callable[[], object], seed: int
) -> None:
    rng = Random(f"attributes {seed}")
    log = [random_change(rng) for _ in range(60)]
    handler, position = None, 0
    while position < len(log):
        try:
            if rng.random() < 0.2:
                bench.bus.survive = set(range(rng.randint(0, 3)))  # of a partition the first ones arrive
            if handler is None:
                if rng.random() < 0.3:
                    await forget()
                    bench.bus.log = compacted(bench.bus.log)
                handler = bench.handler()
                position = await handler.assigned(PARTITION) or 0
            taken = log[position : position + rng.randint(1, 5)]
            await handler.handle(PARTITION, batch(position, *taken))
            position += len(taken)
        except (RewindError, TransientError):
            handler = None
    assert_records_say(bench.bus, log)
    bench.bus.log = compacted(bench.bus.log)
    assert_records_say(bench.bus, log)
