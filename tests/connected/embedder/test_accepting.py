"""A source that was accepted anew is read again by each home from where that begins, whatever is killed."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from schemas.base import milliseconds
from schemas.catalogue import Appended, StampedChange
from services.embedder.home import LOGS
from services.embedder.sources import CLOCKS_APART
from services.embedder.store import DocumentStore
from shared.catalogue.acceptances import NONE, Acceptances, Accepted
from shared.errors import FencedError, RewindError
from shared.generations.homes import read_older
from shared.records import Applied, Batch, Partition, Record
from tests import stamped

from .conftest import FORWARDED, HOME, PARTITION, START, Bench, batch, change

pytestmark = pytest.mark.connected
CHANGES, REPARTITION = LOGS
Forget = Callable[[], Awaitable[None]]
VERSION = Accepted("version", milliseconds(START + timedelta(seconds=5)))


class Sources:
    """Logs with a message a second, each at the offset of its second."""

    def __init__(self) -> None:
        self.known: Acceptances = NONE
        self.asked: list[tuple[Partition, int]] = []

    async def offset_at(self, partition: Partition, moment: int) -> int | None:
        self.asked.append((partition, moment))
        return max(0, moment - milliseconds(START)) // 1000


def restored(second: int, version: int, **fields: object) -> StampedChange:
    appended = Appended(milliseconds(START) + 1000 * second, 0, second)
    return stamped.change("upsert", version, "lamp", appended=appended, **fields)


def again(*changes: StampedChange, first: int) -> Batch[StampedChange]:
    """Return what a reader makes of them once it knows of the acceptance."""
    found = batch(first, *changes)
    accepted = [
        (record, replace(one, stamp=one.stamp._replace(timeline=VERSION.since)))
        for record, one in found.messages
    ]
    return Batch(accepted, found.next_offset)


async def test_a_home_goes_back_in_both_logs_and_forgets_what_was_older(bench: Bench, namespace: str) -> None:
    bench.sources = sources = Sources()
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.assigned(FORWARDED)
    await handler.handle(PARTITION, batch(0, change("lamp", "upsert", 900, title="lamp")))
    await handler.handle(FORWARDED, Batch((), 700))
    old = restored(8, 300, title="old lamp")
    assert await handler.handle(PARTITION, batch(8, old)) == Applied(0, 1, older=1)
    assert await read_older(bench.redis, namespace, "g1", homes=1)

    sources.known = frozenset({VERSION})
    assert await handler.assigned(PARTITION) == 5
    assert await read_older(bench.redis, namespace, "g1", homes=1) == {}
    with pytest.raises(RewindError):
        await handler.handle(FORWARDED, Batch((), 701))
    assert await handler.assigned(FORWARDED) == 0, "brokers' clocks are apart"
    assert dict(sources.asked)[FORWARDED] == VERSION.since - CLOCKS_APART / timedelta(milliseconds=1)
    assert await handler.handle(PARTITION, again(old, first=8)) == Applied(1)
    assert bench.bus.latest["lamp"].document.fields == {"title": "old lamp"}


async def test_what_a_home_was_read_by_is_stored_with_where_it_is_read_from(bench: Bench) -> None:
    bench.sources = sources = Sources()
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, *(change("lamp", "upsert", n, title="lamp") for n in range(9))))
    sources.known = frozenset({VERSION})
    assert await handler.assigned(PARTITION) == 5
    assert await bench.handler().assigned(PARTITION) == 5, "killed before anything was read"
    successor = bench.handler()
    await successor.assigned(PARTITION)
    await successor.handle(PARTITION, again(*(restored(n, n, title="lamp") for n in range(5, 9)), first=5))
    sources.known = NONE
    unaware = bench.handler()
    assert await unaware.assigned(PARTITION) == 9, "it has not heard of it yet"
    value = b'{"product_id":"lamp","op":"upsert","version":1,"fields":{"title":"a"}}'
    written = Record(PARTITION, 9, b"lamp", value, START + timedelta(seconds=9))
    decoded = unaware.decode(written)
    assert decoded is not None
    assert decoded.stamp.timeline == VERSION.since


async def test_a_product_that_was_heard_does_not_go_back_while_it_is_read_again(bench: Bench) -> None:
    bench.sources = sources = Sources()
    handler = bench.handler()
    await handler.assigned(PARTITION)
    written = [restored(second, second, title=f"lamp of {second}") for second in range(5, 9)]
    await handler.handle(PARTITION, batch(5, *written))
    sources.known = frozenset({VERSION})
    assert await handler.assigned(PARTITION) == 5
    for second, one in enumerate(written, 5):
        await handler.handle(PARTITION, again(one, first=second))
        assert bench.bus.latest["lamp"].document.fields == {"title": "lamp of 8"}
    assert bench.encoder.embedded == 1


async def test_a_state_that_was_rebuilt_is_read_again(bench: Bench, forget: Forget) -> None:
    bench.sources = sources = Sources()
    sources.known = frozenset({VERSION})
    handler = bench.handler()
    assert await handler.assigned(PARTITION) is None, "all is read anyway"
    messages = [restored(n, n + 1, title=f"lamp {n}") for n in range(5)]
    await handler.handle(PARTITION, batch(0, *messages))
    await handler.handle(PARTITION, again(restored(7, 1, title="old lamp"), first=7))
    await handler.handle(PARTITION, again(restored(8, 2, title="lamp"), first=8))
    await forget()
    successor = bench.handler()
    assert await successor.assigned(PARTITION) == 5
    assert await successor.handle(PARTITION, again(restored(7, 1, title="old lamp"), first=7)) == Applied(
        0, 1
    )
    assert len(bench.bus.log) == 3


async def test_a_former_owner_does_not_move_the_home(bench: Bench, store: DocumentStore) -> None:
    zombie = await store.claim(HOME, CHANGES)
    await store.commit(zombie, (), topic=CHANGES, next_offset=9)
    await store.claim(HOME, CHANGES)
    with pytest.raises(FencedError):
        await store.accept(zombie, frozenset({VERSION}), {CHANGES: 5, REPARTITION: None})
    assert (await store.claim(HOME, CHANGES)).next_offset(CHANGES) == 9


async def test_a_log_is_never_moved_forward(store: DocumentStore) -> None:
    held = await store.claim(HOME, CHANGES)
    await store.commit(held, (), topic=CHANGES, next_offset=9)
    accepted = await store.accept(held, frozenset({VERSION}), {CHANGES: 12, REPARTITION: 3})
    assert (accepted.next_offset(CHANGES), accepted.next_offset(REPARTITION)) == (9, None)
    again = await store.claim(HOME, REPARTITION)
    assert (again.next_offset(CHANGES), again.next_offset(REPARTITION)) == (9, None)
    assert again.accepted == {VERSION}


async def test_a_state_whose_documents_were_evicted_has_accepted_nothing(
    bench: Bench, store: DocumentStore, redis: Redis
) -> None:
    bench.sources = sources = Sources()
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("lamp", "upsert", 1, title="lamp")))
    sources.known = frozenset({VERSION})
    await handler.assigned(PARTITION)
    held = await store.claim(HOME, CHANGES)
    assert held.accepted == {VERSION}
    await redis.delete(held.keys.key("documents"))
    assert (await store.claim(HOME, CHANGES)).accepted == NONE
