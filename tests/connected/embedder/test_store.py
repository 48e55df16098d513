from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from msgspec import structs
from redis.asyncio import Redis

from schemas.index import Passage
from services.embedder.domain.recovery import Proven
from services.embedder.domain.state import Embedding, StoredProduct
from services.embedder.home import LOGS, HomeState, Write
from services.embedder.store import DocumentStore
from shared.errors import FatalError, FencedError, LogReplacedError, StateGoneError, StateLostError
from shared.records import Log
from tests.stamped import change, merged

from .conftest import HOME

pytestmark = pytest.mark.connected

CHANGES, FORWARDED = LOGS
EMBEDDING = Embedding("0" * 32, "f" * 16, (Passage(start=0, end=3),), bytes(range(256)) * 3 + b"\n\n")


def product(title: str, version: int = 1, embedding: Embedding = EMBEDDING) -> StoredProduct:
    fields = {"title": title, "tags": ("a", 1, True), "price": 1.5, "new": True}
    return StoredProduct(merged(change("upsert", version, **fields)), embedding)


async def test_what_is_committed_is_read_back(store: DocumentStore) -> None:
    held = await store.claim(HOME, CHANGES)
    assert not held.whole
    await store.commit(held, [Write("p", product("a"), embedded=True)], topic=CHANGES, next_offset=7)
    assert await store.read(held, ["p", "unknown"], vectors=True) == {"p": product("a")}
    assert (await store.claim(HOME, CHANGES)).next_offset(CHANGES) == 7


async def test_a_write_without_vectors_keeps_them(store: DocumentStore) -> None:
    held = await store.claim(HOME, CHANGES)
    await store.commit(held, [Write("p", product("a"), embedded=True)], topic=CHANGES, next_offset=1)
    priced = product("a", 2, structs.replace(EMBEDDING, passages=(), vectors=b"", read=False))
    await store.commit(held, [Write("p", priced, embedded=False)], topic=CHANGES, next_offset=2)
    assert await store.read(held, ["p"]) == {"p": priced}
    assert await store.read(held, ["p"], vectors=True) == {"p": product("a", 2, EMBEDDING)}


async def test_partitions_and_generations_do_not_meet(
    store: DocumentStore, redis: Redis, namespace: str
) -> None:
    held = await store.claim(HOME, CHANGES)
    await store.commit(held, [Write("p", product("a"), embedded=True)], topic=CHANGES, next_offset=1)
    neighbour = await store.claim(HOME + 1, CHANGES)
    other = DocumentStore(redis, namespace=namespace, generation="g2")
    assert not neighbour.whole
    assert await store.read(neighbour, ["p"], vectors=True) == {}
    assert not (await other.claim(HOME, CHANGES)).whole


async def test_of_a_hundred_writes_of_a_zombie_none_is_accepted(store: DocumentStore) -> None:
    zombie = await store.claim(HOME, CHANGES)
    await store.commit(zombie, [Write("p", product("a"), embedded=True)], topic=CHANGES, next_offset=1)
    owner = await store.claim(HOME, CHANGES)
    accepted = 0
    for number in range(100):
        try:
            await store.commit(
                zombie, [Write("p", product("zombie"), embedded=True)], topic=CHANGES, next_offset=2 + number
            )
            accepted += 1
        except FencedError:
            pass
    assert accepted == 0
    assert await store.read(owner, ["p"], vectors=True) == {"p": product("a")}
    with pytest.raises(FencedError):
        await store.check(zombie)
    with pytest.raises(FencedError):
        await store.read(zombie, ["p"])


async def test_a_commit_may_be_repeated_after_a_lost_reply(store: DocumentStore) -> None:
    held = await store.claim(HOME, CHANGES)
    write = Write("p", product("a"), embedded=True)
    unaware = replace(held, logs={topic: replace(of) for topic, of in held.logs.items()})
    await store.commit(held, [write], topic=CHANGES, next_offset=5)
    await store.commit(unaware, [write], topic=CHANGES, next_offset=5)
    assert unaware == held
    assert await store.read(held, ["p"], vectors=True) == {"p": product("a")}


async def test_redis_with_older_data_stops_the_process(
    store: DocumentStore, redis: Redis, namespace: str
) -> None:
    held = await store.claim(HOME, CHANGES)
    await store.commit(held, [], topic=CHANGES, next_offset=5)
    async for state in redis.scan_iter(f"{namespace}:*:state"):
        await redis.hset(state, f"next:{CHANGES}", 3)
    with pytest.raises(StateLostError, match="older data"):
        await store.commit(held, [], topic=CHANGES, next_offset=6)


async def test_emptied_redis_is_noticed(store: DocumentStore, forget: Callable[[], Awaitable[None]]) -> None:
    held = await store.claim(HOME, CHANGES)
    await store.commit(held, [Write("p", product("a"), embedded=True)], topic=CHANGES, next_offset=1)
    await forget()
    with pytest.raises(StateGoneError):
        await store.read(held, ["p"])
    with pytest.raises(StateGoneError):
        await store.commit(held, [], topic=CHANGES, next_offset=2)


async def test_evicted_documents_are_noticed_and_the_state_starts_anew(
    store: DocumentStore, redis: Redis, namespace: str
) -> None:
    held = await store.claim(HOME, CHANGES)
    await store.commit(held, [Write("p", product("a"), embedded=True)], topic=CHANGES, next_offset=1)
    await redis.delete(*[key async for key in redis.scan_iter(f"{namespace}:*:documents")])
    with pytest.raises(StateGoneError):
        await store.commit(held, [], topic=CHANGES, next_offset=2)
    again = await store.claim(HOME, CHANGES)
    assert (again.epoch > held.epoch, again.whole) == (True, False)


async def test_state_of_a_layout_that_is_not_ours_is_refused_and_left_as_it_is(
    store: DocumentStore, redis: Redis, namespace: str
) -> None:
    held = await store.claim(HOME, CHANGES)
    await store.commit(held, [Write("p", product("a"), embedded=True)], topic=CHANGES, next_offset=1)
    await redis.hset(held.keys.state, mapping={"layout": 3, "products": "counted otherwise"})
    with pytest.raises(FatalError, match="has layout 3, this version reads 2"):
        await store.claim(HOME, CHANGES)
    assert await redis.hlen(held.keys.key("documents")) == 1


async def test_an_epoch_is_higher_than_the_records_say(store: DocumentStore) -> None:
    high = 2**52
    assert (await store.claim(HOME, CHANGES, seen_epoch=high)).epoch == high + 1
    assert (await store.claim(HOME, CHANGES, seen_epoch=high - 7)).epoch == high + 2


def logs_of(home: HomeState) -> list[int | None]:
    return [home.next_offset(CHANGES), home.next_offset(FORWARDED)]


async def test_two_logs_of_a_home_are_held_under_one_epoch_with_an_offset_each(store: DocumentStore) -> None:
    home = await store.claim(HOME, CHANGES)
    await store.commit(home, [Write("p", product("a"), embedded=True)], topic=CHANGES, next_offset=3)
    before = home.epoch
    await store.join(home, FORWARDED)
    assert home.epoch > before
    await store.commit(home, [], topic=FORWARDED, next_offset=9)
    await store.commit(home, [], topic=CHANGES, next_offset=4)
    assert logs_of(await store.claim(HOME, FORWARDED)) == [4, 9]


async def test_whoever_joins_fences_out_who_held_it_before(store: DocumentStore) -> None:
    former, owner = await store.claim(HOME, CHANGES), await store.claim(HOME, CHANGES)
    await store.join(owner, FORWARDED)
    for topic in (CHANGES, FORWARDED):
        with pytest.raises(FencedError):
            await store.commit(former, [], topic=topic, next_offset=1)


async def test_a_state_that_is_gone_or_that_moved_under_another_owner_cannot_be_joined(
    store: DocumentStore, forget: Callable[[], Awaitable[None]]
) -> None:
    home = await store.claim(HOME, CHANGES)
    other = await store.claim(HOME, CHANGES)
    await store.commit(other, [], topic=CHANGES, next_offset=5)
    with pytest.raises(StateGoneError):
        await store.join(home, FORWARDED)
    await forget()
    with pytest.raises(StateGoneError):
        await store.join(other, FORWARDED)


async def test_a_log_that_was_made_anew_is_told_and_the_other_one_goes_on(store: DocumentStore) -> None:
    home = await store.claim(HOME, CHANGES, Log("one"))
    await store.join(home, FORWARDED, Log("two"))
    for topic in (CHANGES, FORWARDED):
        await store.commit(home, [], topic=topic, next_offset=5)
    with pytest.raises(LogReplacedError) as replaced:
        await store.claim(HOME, CHANGES, Log("three"))
    assert (replaced.value.identity, replaced.value.offset) == ("one", 5)
    home = await store.claim(HOME, CHANGES, Log("three", replaces="one"))
    assert logs_of(home) == [0, 5]
    assert home.identities == {CHANGES: "three", FORWARDED: "two"}
    assert home.proven == {CHANGES: Proven(0, "three"), FORWARDED: Proven(5, "two")}


async def test_an_offset_of_a_topic_that_is_no_more_is_not_adopted(store: DocumentStore) -> None:
    home = await store.claim(HOME, CHANGES, Log("new"))
    await store.adopt(home, {CHANGES: Proven(7, "old"), FORWARDED: Proven(3, "two")})
    assert logs_of(home) == [None, 3]
    again = await store.claim(HOME, FORWARDED, Log("two"))
    assert (logs_of(again), again.identities) == ([None, 3], {CHANGES: "new", FORWARDED: "two"})
    with pytest.raises(LogReplacedError):
        await store.claim(HOME, FORWARDED, Log("another"))


async def test_the_first_change_of_a_product_that_nobody_wrote_holds_back_what_is_proven(
    store: DocumentStore,
) -> None:
    home = await store.claim(HOME, CHANGES)
    patch = structs.replace(Write("p", product("a"), embedded=False), unwritten=4)
    await store.commit(home, [patch], topic=CHANGES, next_offset=9)
    await store.commit(home, [structs.replace(patch, unwritten=11)], topic=CHANGES, next_offset=12)
    await store.read(home, ())
    assert home.proven == {CHANGES: Proven(4)}
    await store.commit(home, [Write("p", product("b", 2), embedded=True)], topic=FORWARDED, next_offset=1)
    await store.read(home, ())
    assert home.proven == {CHANGES: Proven(12), FORWARDED: Proven(1)}
