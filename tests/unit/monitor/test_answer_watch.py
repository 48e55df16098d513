"""The watch over empty and partial answers, and what of a logged query is counted."""

import json
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from schemas.search import Ranking, SearchQuery
from services.monitor.alerts.domain.state import AlertPolicy
from services.monitor.answers.counter import AnswerCounter
from services.monitor.answers.domain.answers import Bucket, LoggedAnswer, WindowRule, assess, start_of
from services.monitor.answers.settings import AnswerSettings
from services.monitor.answers.watch import AnswerWatch, zero_rate
from shared.records import Partition, Record
from tests.unit.monitor.conftest import NOW, Clock

EMPTY, PARTIAL = "zero-results:search", "partial-answers:search"
RANKING = Ranking(generation="g1", fingerprint="0" * 16, mode="hybrid")
RULE = WindowRule()


class Counter:
    """What the counter has counted, as a test says: buckets by minutes ago."""

    def __init__(self, clock) -> None:
        self._clock = clock
        self.ago: dict[int, Bucket] = {60: Bucket(total=1000, zero=50)}
        self.partitions = 0

    async def buckets(self, partitions: int) -> dict[int, Bucket]:
        self.partitions = partitions
        newest = start_of(self._clock.now(), RULE.bucket)
        return {newest - minutes: bucket for minutes, bucket in self.ago.items()}


@pytest.fixture
def counter(clock) -> Counter:
    return Counter(clock)


@pytest.fixture
def watch(counter, alerts, clock) -> AnswerWatch:
    settings = AnswerSettings(alerts=AlertPolicy(fire_after=2, resolve_after=2))
    return AnswerWatch(settings, counter, alerts, partitions=lambda: 4, clock=clock)


async def test_usual_answers_are_no_news(watch, counter, alerts):
    counter.ago[1] = Bucket(total=200, zero=10)
    for _ in range(3):
        await watch.tick(1)
    assert alerts.turns() == []
    assert counter.partitions == 4
    assert zero_rate._value.get() == 0.05


async def test_a_flood_of_empty_answers_fires_and_its_end_resolves(watch, counter, alerts):
    counter.ago[1] = Bucket(total=200, zero=150)
    for _ in range(2):
        await watch.tick(1)
    assert alerts.turns() == [(EMPTY, "firing")]
    assert alerts.published[0].severity == "critical"
    counter.ago[1] = Bucket(total=200, zero=8)
    for _ in range(2):
        await watch.tick(1)
    assert alerts.turns()[-1] == (EMPTY, "resolved")


async def test_what_an_open_alert_saw_does_not_become_usual(watch, counter, alerts, clock):
    counter.ago[1] = Bucket(total=200, zero=150)
    for _ in range(2):
        await watch.tick(1)
    clock.forward(hours=5)  # the empty answers are older than the window now, and go on
    counter.ago = {
        1: Bucket(total=200, zero=150),
        120: Bucket(total=5000, zero=3750),
        600: Bucket(total=1000, zero=50),
    }
    for _ in range(3):
        await watch.tick(1)
    assert (EMPTY, "resolved") not in alerts.turns()
    assert alerts.observations[0].evidence["usual"] == 0.05


async def test_after_it_was_resolved_all_of_the_past_counts_again(watch, counter, alerts):
    counter.ago[1] = Bucket(total=200, zero=150)
    for _ in range(2):
        await watch.tick(1)
    counter.ago = {1: Bucket(total=200, zero=4), 600: Bucket(total=1000, zero=50)}
    for _ in range(2):
        await watch.tick(1)
    counter.ago[20] = Bucket(total=1000, zero=950)
    await watch.tick(1)
    assert alerts.observations[0].evidence["usual"] == 0.5


async def test_partial_answers_are_an_alert_of_their_own(watch, counter, alerts):
    counter.ago[1] = Bucket(total=200, zero=10, partial=40)
    for _ in range(2):
        await watch.tick(1)
    assert alerts.turns() == [(PARTIAL, "firing")]


async def test_with_too_few_answers_nothing_is_said_and_an_alert_goes_on(watch, counter, alerts):
    counter.ago[1] = Bucket(total=200, zero=150)
    for _ in range(2):
        await watch.tick(1)
    counter.ago[1] = Bucket(total=RULE.minimum - 1)
    for _ in range(5):
        await watch.tick(1)
    assert alerts.turns() == [(EMPTY, "firing")]
    assert alerts.observations == []


async def test_without_answers_the_rate_is_nothing(watch, counter):
    counter.ago = {}
    await watch.tick(1)
    assert zero_rate._value.get() == 0.0


def decoded(value: bytes | None) -> LoggedAnswer | None:
    counter = AnswerCounter(Redis(), namespace="n", rule=RULE, clock=Clock())  # connects when it writes
    return counter.decode(Record(Partition(SearchQuery.topic, 0), 0, b"q", value, NOW))


def query(**changes: object) -> SearchQuery:
    values = {"query_id": "q", "user_query": "shoe", "timestamp": NOW, "query_response_object_ids": ("p",)}
    return SearchQuery.model_validate({**values, **changes})


def test_what_counts_of_an_answer_is_its_time_its_products_and_whether_it_was_whole():
    answer = decoded(query(ranking=RANKING.model_copy(update={"partial": True})).encode())
    assert answer == LoggedAnswer(asked_at=NOW, products=1, partial=True)


def test_an_answer_of_another_front_end_counts_when_it_says_what_it_showed():
    plain = {"query_id": "q", "user_query": "shoe", "timestamp": NOW.isoformat()}
    shown = {**plain, "query_response_object_ids": []}
    assert decoded(json.dumps(shown).encode()) == LoggedAnswer(asked_at=NOW, products=0)
    assert decoded(json.dumps(plain).encode()) == LoggedAnswer(asked_at=NOW, products=None)


def test_a_candidate_that_finds_something_does_not_hide_that_the_live_generation_found_nothing():
    parts = [{"generation": "g1", "hits": 0}, {"generation": "g2", "hits": 1}]
    trial = {"trial": "t", "arm": "interleaved", "teams": "B", "parts": parts}
    ranking = Ranking.model_validate({**RANKING.model_dump(), "trial": trial})
    assert decoded(query(ranking=ranking).encode()) == LoggedAnswer(asked_at=NOW, products=0)


def test_our_own_answer_without_products_found_nothing():
    ours = query(ranking=RANKING, query_response_object_ids=())
    assert decoded(ours.encode()) == LoggedAnswer(asked_at=NOW, products=0)


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"null", b'{"query_id": 1}', b"\xff"])
def test_what_is_no_query_counts_nothing(value):
    assert decoded(value) is None


def test_a_window_of_one_bucket_is_compared_with_the_buckets_before_it():
    rule = WindowRule(bucket=timedelta(minutes=5), window=timedelta(minutes=5), past=timedelta(minutes=10))
    newest = start_of(NOW, rule.bucket)
    buckets = {newest - age: Bucket(total=10**age) for age in range(5)}
    window, past = assess(buckets, now=NOW, rule=rule, open_since=None)
    assert (window.total, past.total) == (1, 10 + 100)
