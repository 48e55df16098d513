from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from schemas.catalogue import ProductChange
from schemas.index import Passage
from services.embedder.domain.state import NOTHING, Embedding, Product
from services.embedder.store import DocumentStore, StateGoneError, Write
from shared.documents import EMPTY, merge
from shared.errors import FatalError, FencedError
from shared.records import Partition

from .conftest import PARTITION, START

pytestmark = pytest.mark.connected

EMBEDDING = Embedding("0" * 32, "f" * 16, (Passage(start=0, end=3),), bytes(range(256)) * 3 + b"\n\n")


def product(title: str, version: int = 1, embedding: Embedding = EMBEDDING) -> Product:
    fields = {"title": title, "tags": ("a", 1, True), "price": 1.5, "new": True}
    change = ProductChange(product_id="p", op="upsert", version=version, event_time=START, fields=fields)
    return Product(merge(EMPTY, change), embedding)


async def test_what_is_committed_is_read_back(store: DocumentStore) -> None:
    tenure = await store.open(PARTITION)
    assert (tenure.epoch, tenure.next_offset) == (1, None)
    tenure = await store.commit(tenure, [Write("p", product("a"), embedded=True)], next_offset=7)
    assert await store.read(tenure, ["p", "unknown"]) == {"p": product("a")}
    assert (await store.open(PARTITION)).next_offset == 7


async def test_a_write_without_vectors_keeps_them(store: DocumentStore) -> None:
    tenure = await store.open(PARTITION)
    tenure = await store.commit(tenure, [Write("p", product("a"), embedded=True)], next_offset=1)
    priced = product("a", 2, NOTHING)
    tenure = await store.commit(tenure, [Write("p", priced, embedded=False)], next_offset=2)
    assert await store.read(tenure, ["p"]) == {"p": product("a", 2, EMBEDDING)}


async def test_partitions_and_generations_do_not_meet(
    store: DocumentStore, redis: Redis, namespace: str
) -> None:
    tenure = await store.open(PARTITION)
    await store.commit(tenure, [Write("p", product("a"), embedded=True)], next_offset=1)
    neighbour = await store.open(Partition(PARTITION.topic, 4))
    other = DocumentStore(redis, namespace=namespace, generation="g2")
    assert neighbour.next_offset is None
    assert await store.read(neighbour, ["p"]) == {}
    assert (await other.open(PARTITION)).next_offset is None


async def test_of_a_hundred_writes_of_a_zombie_none_is_accepted(store: DocumentStore) -> None:
    zombie = await store.open(PARTITION)
    zombie = await store.commit(zombie, [Write("p", product("a"), embedded=True)], next_offset=1)
    owner = await store.open(PARTITION)
    accepted = 0
    for number in range(100):
        try:
            await store.commit(zombie, [Write("p", product("zombie"), embedded=True)], next_offset=2 + number)
            accepted += 1
        except FencedError:
            pass
    assert accepted == 0
    assert await store.read(owner, ["p"]) == {"p": product("a")}
    with pytest.raises(FencedError):
        await store.check(zombie)
    with pytest.raises(FencedError):
        await store.read(zombie, ["p"])


async def test_a_commit_may_be_repeated_after_a_lost_reply(store: DocumentStore) -> None:
    tenure = await store.open(PARTITION)
    write = Write("p", product("a"), embedded=True)
    first = await store.commit(tenure, [write], next_offset=5)
    assert await store.commit(tenure, [write], next_offset=5) == first


async def test_redis_with_older_data_stops_the_process(
    store: DocumentStore, redis: Redis, namespace: str
) -> None:
    tenure = await store.open(PARTITION)
    tenure = await store.commit(tenure, [], next_offset=5)
    async for state in redis.scan_iter(f"{namespace}:*:state"):
        await redis.hset(state, "next_offset", 3)
    with pytest.raises(FatalError, match="older data"):
        await store.commit(tenure, [], next_offset=6)


async def test_emptied_redis_is_noticed(store: DocumentStore, forget: Callable[[], Awaitable[None]]) -> None:
    tenure = await store.open(PARTITION)
    tenure = await store.commit(tenure, [Write("p", product("a"), embedded=True)], next_offset=1)
    await forget()
    with pytest.raises(StateGoneError):
        await store.read(tenure, ["p"])
    with pytest.raises(StateGoneError):
        await store.commit(tenure, [], next_offset=2)


async def test_evicted_documents_are_noticed_and_the_state_starts_anew(
    store: DocumentStore, redis: Redis, namespace: str
) -> None:
    tenure = await store.open(PARTITION)
    tenure = await store.commit(tenure, [Write("p", product("a"), embedded=True)], next_offset=1)
    await redis.delete(*[key async for key in redis.scan_iter(f"{namespace}:*:documents")])
    with pytest.raises(StateGoneError):
        await store.commit(tenure, [], next_offset=2)
    again = await store.open(PARTITION)
    assert (again.epoch, again.next_offset) == (2, None)


async def test_an_epoch_is_higher_than_the_records_say(store: DocumentStore) -> None:
    assert (await store.open(PARTITION, above=41)).epoch == 42
    assert (await store.open(PARTITION, above=7)).epoch == 43
