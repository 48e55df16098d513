"""The race of hedged calls, in virtual time: who is asked when, whose answer counts, what is told."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from services.search.domain.candidate import ShardAnswer
from services.search.domain.route import Route
from services.search.scatter import scatter
from services.search.shards import LATE, ShardFailure, ShardQuery
from shared.cluster.members import OwnerRecord
from tests.unit.search.builders import candidate, report
from tests.unit.search.virtual_time import run

HEDGE_AFTER = 0.2
DEADLINE = 2.0
NEVER = 1e9


class Says(NamedTuple):
    """What an owner does with a question: after so long it answers, or fails."""

    after: float
    failure: str | None = None
    unless_alone: bool = False
    """It fails only when it is asked for several partitions."""


FAST, SLOW, STUCK = Says(0.01), Says(0.5), Says(NEVER)
GONE = Says(0.01, "unreachable")
REFUSES = Says(0.01, "refused")
LOST_ONE = Says(0.01, "refused", unless_alone=True)
BROKEN = Says(0.01, "contract")


def owner(url, partition):
    return OwnerRecord(
        url=url,
        instance=url,
        partition=partition,
        partitions=2,
        epoch=1,
        next_offset=0,
        end_offset=0,
        ready=True,
        fingerprint=None,
        dimensions=None,
        documents=0,
        updated_at=datetime(2026, 11, 21, tzinfo=UTC),
    )


class Owners:
    """Answer as the table says, and note who was asked, for what, and when."""

    def __init__(self, **says):
        self.says = says
        self.asked = []
        self.called_off = 0

    async def ask(self, url, partitions, query):
        moment = round(asyncio.get_running_loop().time(), 2)
        self.asked.append((url, list(partitions), moment))
        says = self.says[url]
        try:
            await asyncio.sleep(says.after)
        except asyncio.CancelledError:
            self.called_off += 1
            raise
        if says.failure and not (says.unless_alone and len(partitions) == 1):
            raise ShardFailure(says.failure, f"{url} is {says.failure}")
        return [ShardAnswer(report(number), (candidate(f"{url}{number}"),)) for number in partitions]


def gather(owners, choices, *, unserved=None, **query):
    """Return ({partition: who answered, or the reason}, the moment of the answer)."""
    choices = {number: [owner(url, number) for url in urls] for number, urls in choices.items()}
    route = Route(len(choices), choices, unserved or {})

    async def asked():
        question = ShardQuery(generation="g1", mode="dense", k=1, deadline=DEADLINE, **query)
        answers = await scatter(owners.ask, route, question, hedge_after=timedelta(seconds=HEDGE_AFTER))
        return answers, asyncio.get_running_loop().time()

    answers, moment = run(asked())
    assert [answer.report.partition for answer in answers] == sorted(choices)
    return {
        answer.report.partition: answer.candidates[0].product_id
        if answer.candidates
        else answer.report.reason
        for answer in answers
    }, round(moment, 2)


@pytest.mark.parametrize(
    ("a", "b", "answer", "moment"),
    [
        (FAST, FAST, "a0", 0.01),
        (SLOW, FAST, "b0", 0.21),
        (SLOW, SLOW, "a0", 0.5),
        (SLOW, GONE, "a0", 0.5),
        (SLOW, STUCK, "a0", 0.5),
        (STUCK, SLOW, "b0", 0.7),
        (STUCK, STUCK, LATE, 2.0),
        (STUCK, GONE, "b is unreachable", 2.0),
        (GONE, FAST, "b0", 0.02),
        (GONE, SLOW, "b0", 0.51),
        (GONE, GONE, "b is unreachable", 0.02),
        (GONE, STUCK, "a is unreachable", 2.0),
        (REFUSES, FAST, "b0", 0.02),
        (BROKEN, FAST, "b0", 0.02),
        (BROKEN, REFUSES, "b is refused", 0.02),
    ],
)
def test_of_an_owner_and_its_replica_the_first_good_answer_counts(a, b, answer, moment):
    owners = Owners(a=a, b=b)
    assert gather(owners, {0: "ab"}) == ({0: answer}, moment)
    assert owners.asked[0] == ("a", [0], 0.0)
    assert owners.asked[1:] == ([] if a is FAST else [("b", [0], min(a.after, HEDGE_AFTER))])


def test_whoever_lost_the_race_is_called_off():
    owners = Owners(a=SLOW, b=FAST)
    gather(owners, {0: "ab"})
    assert owners.called_off == 1
    owners = Owners(a=Says(0.25), b=SLOW)
    gather(owners, {0: "ab"})
    assert owners.called_off == 1


def test_replicas_are_asked_one_after_another_until_one_answers():
    owners = Owners(a=GONE, b=GONE, c=FAST)
    assert gather(owners, {0: "abc"}) == ({0: "c0"}, 0.03)
    assert [url for url, _, _ in owners.asked] == ["a", "b", "c"]


@pytest.mark.parametrize(("says", "reason"), [(GONE, "a is unreachable"), (STUCK, LATE)])
def test_without_a_replica_the_partition_is_missing_and_says_why(says, reason):
    assert gather(Owners(a=says), {0: "a"})[0] == {0: reason}


def test_partitions_of_one_owner_are_one_question():
    owners = Owners(a=FAST)
    assert gather(owners, {0: "a", 1: "a"}) == ({0: "a0", 1: "a1"}, 0.01)
    assert owners.asked == [("a", [0, 1], 0.0)]


def test_with_offsets_to_wait_for_they_are_asked_apart():
    owners = Owners(a=FAST)
    gather(owners, {0: "a", 1: "a"}, min_offsets={0: 5})
    assert owners.asked == [("a", [0], 0.0), ("a", [1], 0.0)]


def test_an_owner_that_lost_one_partition_is_asked_for_each_alone():
    owners = Owners(a=LOST_ONE)
    assert gather(owners, {0: "a", 1: "a"}) == ({0: "a0", 1: "a1"}, 0.02)
    assert owners.asked[1:] == [("a", [0], 0.01), ("a", [1], 0.01)]


@pytest.mark.parametrize("says", [GONE, BROKEN])
def test_an_owner_that_failed_otherwise_is_not_asked_again(says):
    owners = Owners(a=says)
    gather(owners, {0: "a", 1: "a"})
    assert owners.asked == [("a", [0, 1], 0.0)]


def test_each_partition_of_a_slow_owner_has_its_own_replica():
    owners = Owners(a=SLOW, b=FAST, c=STUCK)
    assert gather(owners, {0: "ab", 1: "ac"}) == ({0: "b0", 1: "a1"}, 0.5)
    assert owners.asked[1:] == [("b", [0], 0.2), ("c", [1], 0.2)]


def test_a_partition_that_nobody_serves_is_missing_at_once():
    assert gather(Owners(a=FAST), {0: "a", 1: ""}, unserved={1: "nobody"}) == ({0: "a0", 1: "nobody"}, 0.01)


def test_what_is_no_failure_of_a_shard_is_raised():
    class Buggy(Owners):
        async def ask(self, url, partitions, query):
            raise KeyError(url)

    with pytest.raises(KeyError):
        gather(Buggy(), {0: "a"})
