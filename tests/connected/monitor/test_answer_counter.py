"""Answers counted in a real Redis: once each, over restarts, replays and two owners."""

import json
from datetime import timedelta

import pytest

from schemas.search import Ranking, SearchQuery
from services.monitor.answers.counter import AnswerCounter
from services.monitor.answers.domain.answers import Bucket, WindowRule
from shared.errors import FencedError, StateGoneError
from shared.records import Applied, Batch, Partition, Record

pytestmark = pytest.mark.connected

AT = Partition("search.queries.v1", 3)
RANKING = Ranking(generation="g1", fingerprint="0" * 16, mode="hybrid")


@pytest.fixture
def counter(redis, namespace, clock) -> AnswerCounter:
    return AnswerCounter(redis, namespace=namespace, rule=WindowRule(), clock=clock)


def record(value: bytes | None, offset: int, clock) -> Record:
    return Record(AT, offset, b"q", value, clock.now())


def answered(clock, offset: int, *products: str, partial: bool = False) -> Record:
    query = SearchQuery(
        query_id=f"q{offset}",
        user_query="shoe",
        timestamp=clock.now(),
        query_response_object_ids=products,
        ranking=RANKING.model_copy(update={"partial": partial}),
    )
    return record(query.encode(), offset, clock)


def batch(counter: AnswerCounter, *records: Record) -> Batch:
    return Batch([(r, counter.decode(r)) for r in records], records[-1].offset + 1)


async def total(counter: AnswerCounter) -> Bucket:
    return sum((await counter.buckets(4)).values(), Bucket())


async def test_empty_and_partial_answers_are_counted(counter, clock):
    await counter.assigned(AT)
    read = [answered(clock, 0, "p1"), answered(clock, 1), answered(clock, 2, "p1", partial=True)]
    assert await counter.handle(AT, batch(counter, *read)) == Applied(3)
    assert await total(counter) == Bucket(total=3, zero=1, partial=1)


async def test_the_same_batch_again_counts_nothing(counter, clock):
    await counter.assigned(AT)
    for _ in range(3):
        await counter.handle(AT, batch(counter, answered(clock, 0, "p1")))
    assert (await total(counter)).total == 1


async def test_a_new_owner_goes_on_where_the_counts_are_and_the_old_one_is_refused(
    counter, redis, namespace, clock
):
    assert await counter.assigned(AT) is None
    await counter.handle(AT, batch(counter, answered(clock, 0, "p1")))
    other = AnswerCounter(redis, namespace=namespace, rule=WindowRule(), clock=clock)
    assert await other.assigned(AT) == 1
    with pytest.raises(FencedError):
        await counter.handle(AT, batch(counter, answered(clock, 1, "p1")))
    await other.handle(AT, batch(other, answered(clock, 1, "p1")))
    assert (await total(counter)).total == 2


async def test_a_counter_whose_redis_was_emptied_stops_and_the_next_counts_all_again(
    counter, clock, redis, namespace
):
    await counter.assigned(AT)
    read = [answered(clock, 0, "p1"), answered(clock, 1)]
    await counter.handle(AT, batch(counter, *read))
    await redis.delete(*[key async for key in redis.scan_iter(f"{namespace}:*")])
    with pytest.raises(StateGoneError, match="start the worker again"):
        await counter.handle(AT, batch(counter, answered(clock, 2, "p1")))
    assert await counter.assigned(AT) is None
    await counter.handle(AT, batch(counter, *read, answered(clock, 2, "p1")))
    assert await total(counter) == Bucket(total=3, zero=1)


async def test_what_cannot_be_read_or_does_not_tell_counts_nothing_but_moves_the_offset(counter, clock):
    await counter.assigned(AT)
    silent = {"query_id": "x", "user_query": "shoe", "timestamp": clock.now().isoformat()}
    values = [b"{", None, b"[]", json.dumps(silent).encode()]
    read = [record(value, at, clock) for at, value in enumerate(values)]
    assert await counter.handle(AT, batch(counter, *read)) == Applied(0, no_op=4)
    told = json.dumps({**silent, "query_response_object_ids": []}).encode()
    await counter.handle(AT, batch(counter, record(told, 4, clock)))
    assert await total(counter) == Bucket(total=1, zero=1)
    assert await counter.assigned(AT) == 5


async def test_old_buckets_leave_with_no_new_traffic(counter, clock, redis, namespace):
    await counter.assigned(AT)
    await counter.handle(AT, batch(counter, answered(clock, 0, "p1")))
    clock.moment += timedelta(days=2)
    assert await counter.buckets(4) == {}
    assert await redis.hlen(f"{namespace}:{{monitor-queries-3}}:answers") == 0
