"""Judgements on their way into the state of their partition."""

from datetime import UTC, datetime

import pytest

from schemas.base import milliseconds
from schemas.judgements import ActionStatistics, Judgement
from services.negatives.evidence import AT_ONCE, EvidenceHandler
from shared.cluster.miner import MINER
from shared.errors import PoisonError
from shared.records import Batch, Partition, Record

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

SAID = f"{milliseconds(NOW)} {NOW.date().toordinal()} 9"


class State:
    def __init__(self, next_offset):
        self.next_offset = next_offset


class RecordingStore:
    """A store that remembers what it is told; `next_offset` is that of the states it hands out."""

    def __init__(self, next_offset=None):
        self.next_offset, self.prepared, self.learned = next_offset, [], []

    async def claim(self, number, log):
        return State(self.next_offset)

    async def prepare(self, state, negatives, *, mark, now):
        self.prepared.append((list(negatives), mark, now))

    async def learn(self, state, rows, *, next_offset, now):
        self.learned.append((rows, next_offset, now))


class Clock:
    def now(self):
        return NOW


def handler(store, published=()):
    async def read():
        return published

    return EvidenceHandler(store, objective=frozenset({"click"}), clock=Clock(), published=read)


def at(number):
    return Partition(Judgement.topic, number)


def record(key, value):
    return Record(at(0), 7, key, value, NOW)


def judgement(query="red shoe", product_id="p1"):
    return Judgement(
        query=query,
        product_id=product_id,
        window_start=NOW.date(),
        window_end=NOW.date(),
        impressions=9,
        shoppers=1,
        actions={"click": ActionStatistics(count=2, expected=1.0)},
        value=1.0,
        grade=2.5,
        updated_at=NOW,
    )


async def test_a_new_state_of_the_miner_learns_what_was_published_by_query():
    store = RecordingStore()
    published = [("b", "2"), ("a", "1"), ("b", "1")]
    assert await handler(store, published).assigned(at(MINER)) is None
    assert store.prepared == [([("a", ["1"]), ("b", ["1", "2"])], True, NOW)]


async def test_what_was_published_is_remembered_in_portions():
    store = RecordingStore()
    await handler(store, [(f"q{number:05}", "p") for number in range(AT_ONCE + 1)]).assigned(at(MINER))
    assert [len(portion) for portion, _, _ in store.prepared] == [AT_ONCE, 1]


@pytest.mark.parametrize(("number", "next_offset"), [(MINER + 1, None), (MINER, 9)])
async def test_who_does_not_mine_or_goes_on_learns_nothing_of_what_was_published(number, next_offset):
    store = RecordingStore(next_offset)
    assert await handler(store, [("a", "1")]).assigned(at(number)) == next_offset
    assert store.prepared == []


async def test_a_partition_is_held_from_its_assignment_to_its_revocation():
    one = handler(RecordingStore(3))
    await one.assigned(at(1))
    assert set(one.states) == {1}
    await one.revoked(at(1))
    await one.revoked(at(1))  # twice does no harm
    assert set(one.states) == set()


def test_a_judgement_is_read_as_packed_evidence_and_a_tombstone_as_none():
    one, message = handler(RecordingStore()), judgement()
    assert one.decode(record(message.key(), message.encode())) == ("red shoe", "p1", f"2 2 1.0 2.5 {SAID}")
    assert one.decode(record(b"a\tb\tp2", None)) == ("a\tb", "p2", "")


@pytest.mark.parametrize(
    ("key", "value"), [(b"no tab", b"{}"), (None, None), (b"q\tp", b"{"), (b"q\tp", b"{}")]
)
def test_what_is_no_judgement_is_poison(key, value):
    with pytest.raises(PoisonError):
        handler(RecordingStore()).decode(record(key, value))


async def test_a_batch_is_stored_with_its_offset():
    store = RecordingStore(7)
    one = handler(store)
    await one.assigned(at(0))
    rows = [("q", "p1", "2 2 1.0 2.5"), ("q", "p2", "")]
    applied = await one.handle(at(0), Batch([(record(b"q\tp", None), row) for row in rows], 9))
    assert store.learned == [(rows, 9, NOW)]
    assert applied.applied == 2
