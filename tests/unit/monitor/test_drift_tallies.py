"""What counts of a query, an outcome and a written product, and what the monitor measures itself."""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from redis.asyncio import Redis

from schemas.index import IndexRecord
from schemas.judgements import Item, Outcome
from schemas.search import Ranking, SearchQuery
from services.monitor.drift.domain.sketches import opened
from services.monitor.drift.domain.tally import AnsweredQuery, Example, WindowTally, tally_queries
from services.monitor.drift.probes import LONGEST, Probes, segments_of, tally_of
from services.monitor.drift.settings import DriftSettings
from services.monitor.drift.tally_keeper import TallyKeeper, of_outcome, of_query, tally_windows, vector_of
from services.monitor.search_probe import SearchFailedError
from shared.records import Partition, Record
from shared.settings import Settings
from tests.unit.monitor.conftest import NOW, Generations, owner

HOUR = timedelta(hours=1)
NUMBER = int(NOW.timestamp()) // 3600
"""The window that `NOW` lies in."""
ONES = np.ones(8, dtype=np.float32)


def encoded(vector: np.ndarray) -> str:
    return b64encode(vector.astype("<f2").tobytes()).decode()


def ranking(**changes: object) -> Ranking:
    values = {"generation": "g1", "fingerprint": "1" * 16, "mode": "hybrid"}
    return Ranking.model_validate({**values, **changes})


def query(**changes: object) -> SearchQuery:
    values = {"query_id": "q", "user_query": "red shoe", "timestamp": NOW}
    return SearchQuery.model_validate({**values, **changes})


def outcome(action: str = "click", count: int = 1, **changes: object) -> Outcome:
    items = tuple(Item(product_id=f"p{number}", position=number + 1) for number in range(count))
    values = {
        "query": "q",
        "user_query": "q",
        "query_id": "q",
        "action": action,
        "items": items,
        "generation": "g1",
        "event_time": NOW,
        "origin": 0,
        "sequence": 0,
    }
    return Outcome.model_validate({**values, **changes})


# Queries and outcomes


def test_a_query_of_ours_tells_everything():
    told = of_query(
        query(
            query_response_object_ids=("p1", "p2"),
            ranking=ranking(similarities=(0.7, 0.4), vector=encoded(ONES)),
        )
    )
    assert (told.text, told.hits, told.similarities, told.best) == ("red shoe", 2, (0.7, 0.4), 0.7)
    assert told.fingerprint == "1" * 16
    assert np.array_equal(told.vector, ONES)


def test_a_query_of_another_front_end_tells_what_it_says():
    assert of_query(query()).hits is None
    assert of_query(query(query_response_object_ids=())).hits == 0
    assert of_query(query()).best is None


def trial(*hits: int) -> dict[str, object]:
    """Return how an answer takes part whose generations, g1 first, found so many."""
    parts = [{"generation": f"g{number}", "hits": found} for number, found in enumerate(hits, 1)]
    return {"trial": "t", "arm": "interleaved", "parts": parts}


def test_an_interleaved_answer_tells_what_the_live_generation_found():
    drafted = {"query_response_object_ids": ("p1", "p2")}
    assert of_query(query(**drafted, ranking=ranking(trial=trial(0, 2)))).hits == 0
    assert of_query(query(**drafted, ranking=ranking(trial=trial(1, 2)))).hits == 1
    assert of_query(query(**drafted, ranking=ranking(trial=trial(2)))).hits == 2
    assert of_query(query(**drafted, ranking=ranking())).hits == 2


@pytest.mark.parametrize("action", ["impression", "click"])
def test_what_is_done_on_an_interleaved_answer_counts_for_no_generation(action):
    times = {"session": "5" * 16, "asked_at": NOW, "acted_at": NOW}
    assert of_outcome(outcome(action, 3, trial={**trial(3, 3), **times})).counts == {}
    assert of_outcome(outcome(action, 3, trial={**trial(3), **times})).counts != {}
    assert of_outcome(outcome(action, 3, trial={**trial(3), "arm": "rest", **times})).counts != {}


def test_a_model_is_named_only_by_a_query_that_was_compared_with_it():
    lexical = of_query(query(ranking=ranking(mode="lexical")))
    assert lexical.fingerprint == ""
    assert lexical.hits == 0


@pytest.mark.parametrize(
    "text", ["", "%%", "AAA", encoded(np.ones(7)), encoded(np.full(8, np.inf)), encoded(np.full(8, np.nan))]
)
def test_what_is_no_vector_is_none(text):
    assert vector_of(text) is None


@given(st.lists(st.floats(-4, 4, width=16), min_size=8, max_size=32))
def test_a_vector_comes_back_as_it_was_written(values):
    assert vector_of(encoded(np.array(values))).tolist() == values


@pytest.mark.parametrize(
    ("action", "counts"),
    [
        ("impression", {"shown": 3}),
        ("click", {"click": 3}),
        ("add_to_cart", {"add_to_cart": 3}),
        ("purchase", {"purchase": 3}),
        ("watch", {}),
    ],
)
def test_an_outcome_counts_its_products(action, counts):
    assert of_outcome(outcome(action, 3)).counts == counts


def test_contributions_are_tallied_by_window_and_generation_with_its_own_threshold():
    weak = AnsweredQuery("lamp", 1, (0.45,))
    tallies = tally_windows(
        [
            ((1, "g1"), weak),
            ((1, "g2"), weak),
            ((1, "g3"), weak),
            ((2, "g1"), of_outcome(outcome("click", 2))),
            ((2, "g1"), of_outcome(outcome("click", 1))),
            ((2, "g1"), weak),
        ],
        {"g1": 0.5, "g2": 0.4}.get,
    )
    assert tallies.keys() == {(1, "g1"), (1, "g2"), (1, "g3"), (2, "g1")}
    assert [tallies[1, name].count("weak") for name in ("g1", "g2", "g3")] == [1, 0, 0]
    assert [tallies[1, name].count("scored") for name in ("g1", "g2", "g3")] == [1, 1, 0]
    assert tallies[2, "g1"].counts == {"click": 3, "answers": 1, "scored": 1, "weak": 1}


queries = st.builds(
    AnsweredQuery,
    st.text(max_size=10),
    st.none() | st.integers(0, 3),
    st.lists(st.floats(0, 1), max_size=3).map(tuple),
    st.none() | st.lists(st.floats(-1, 1, width=16), min_size=8, max_size=8).map(np.float32),
    st.sampled_from(["", "1" * 16]),
)


@given(st.lists(queries, max_size=12), st.none() | st.floats(0, 1))
def test_every_count_of_a_tally_is_of_queries_that_say_it(some, threshold):
    tally = tally_queries(some, threshold=threshold)
    assert tally.count("answers") == sum(one.hits is not None for one in some)
    assert tally.count("empty") == sum(one.hits == 0 for one in some)
    assert tally.count("vectors") == sum(one.vector is not None for one in some)
    scored = [max(one.similarities) for one in some if one.similarities]
    assert tally.count("scored") == (0 if threshold is None else len(scored))
    assert tally.count("weak") == (0 if threshold is None else sum(best < threshold for best in scored))
    assert (opened(tally.nearest).n if tally.nearest else 0) == len(scored)
    assert {example.text for example in tally.query_examples} <= {one.text for one in some}
    assert all(count > 0 for count in tally.counts.values())


def test_while_a_model_is_switched_vectors_of_one_size_are_compared():
    sizes = [AnsweredQuery(f"{size}", 1, (), np.ones(size, dtype=np.float32)) for size in (8, 16, 8)]
    tally = tally_queries(sizes)
    assert (tally.count("vectors"), tally.count("answers")) == (2, 3)
    assert {example.text for example in tally.query_examples} == {"8"}


# The keeper's decoding


@pytest.fixture
def keeper(clock) -> TallyKeeper:
    return TallyKeeper(
        Redis(), namespace="n", settings=DriftSettings(), generations=Generations(), clock=clock
    )  # connects when it writes


def record(value: bytes | None, topic: str = SearchQuery.topic) -> Record:
    return Record(Partition(topic, 0), 0, b"q", value, NOW)


def test_a_query_goes_to_the_window_and_the_generation_that_answered_it(keeper):
    key, told = keeper.decode(record(query(ranking=ranking()).encode()))
    assert key == (NUMBER, "g1")
    assert isinstance(told, AnsweredQuery)
    assert keeper.decode(record(query().encode()))[0] == (NUMBER, "")


def test_an_outcome_goes_to_the_window_of_its_event(keeper):
    early = outcome(event_time=NOW - 3 * HOUR, generation=None)
    key, tally = keeper.decode(record(early.encode(), Outcome.topic))
    assert (key, tally.counts) == ((NUMBER - 3, ""), {"click": 1})


@pytest.mark.parametrize(
    ("minute", "ahead", "counts"), [(30, 4, True), (58, 4, True), (30, 31, False), (50, 15, False)]
)
def test_the_next_window_is_open_as_soon_as_clocks_may_differ_by_it(keeper, clock, minute, ahead, counts):
    clock.moment = NOW.replace(minute=minute)
    early = query(timestamp=clock.moment + timedelta(minutes=ahead))
    assert (keeper.decode(record(early.encode())) is not None) == counts


@pytest.mark.parametrize("topic", [SearchQuery.topic, Outcome.topic])
@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"null", b"\xff", b'{"query": 1}'])
def test_what_can_not_be_read_counts_nothing(keeper, value, topic):
    assert keeper.decode(record(value, topic)) is None


# Products that were written


GOLDEN = IndexRecord.decode(
    (Path(__file__).parents[3] / "schemas" / "golden" / "index.records.json").read_bytes()
)


def product(number: int = 0, vector: np.ndarray = ONES, **changes: object) -> IndexRecord:
    fields = changes.pop("fields", {"title": "lamp", "brand": "Acme"})
    values = {
        "product_id": f"p{number}",
        "text": f"lamp {number}",
        "document": replace(GOLDEN.document, fields=fields),
        "dimensions": len(vector),
        "vectors": vector.astype("<f2").tobytes(),
    }
    return GOLDEN.model_copy(update={**values, **changes})


def written(*products: IndexRecord) -> list[Record]:
    return [record(one.encode(), "index.records.g1") for one in products]


def test_products_that_were_written_are_tallied_by_their_first_passage():
    two_passages = np.concatenate([ONES, -ONES])
    tally, fields = tally_of(
        written(product(0), product(1, vectors=two_passages.astype("<f2").tobytes(), dimensions=8))
    )
    assert tally.count("documents") == 2
    assert {example.text for example in tally.document_examples} == {"lamp 0", "lamp 1"}
    assert len({example.features for example in tally.document_examples}) == 1, "the first passage of both"
    assert fields == {"title", "brand"}
    assert tally.segments == {"brand=Acme": 2}


@pytest.mark.parametrize(
    "unusable",
    [
        product(9, document=replace(GOLDEN.document, base=None, fields={})),
        product(9, vectors=b""),
        product(9, vectors=ONES[:4].astype("<f2").tobytes()),
        product(9, np.full(8, np.inf, dtype=np.float32)),
        product(9, np.full(8, np.nan, dtype=np.float32)),
    ],
    ids=["deleted", "no vector", "a short one", "infinite", "not a number"],
)
def test_what_has_no_vector_to_compare_is_left_out(unusable):
    tally, _ = tally_of(written(product(0), unusable))
    assert tally.count("documents") == 1


def test_what_can_not_be_read_is_left_out():
    assert tally_of([record(None), record(b"{"), record(b"[]")]) == (WindowTally(), frozenset())


def test_while_a_model_is_switched_products_of_one_size_are_compared():
    tally, _ = tally_of(written(product(0), product(1, np.ones(16, dtype=np.float32)), product(2)))
    assert tally.count("documents") == 2


@pytest.mark.parametrize(
    ("fields", "segments"),
    [
        ({"brand": "Acme"}, ["brand=Acme"]),
        ({"category": ("shoes", "trail"), "brand": ""}, ["category=shoes", "category=trail"]),
        ({"category": "x" * 200}, [("category=" + "x" * 200)[:LONGEST]]),
        ({"colour": "red"}, []),
    ],
)
def test_segments_are_the_values_of_the_fields_that_products_are_grouped_by(fields, segments):
    assert segments_of(product(fields=fields)) == segments


# Probes


class Search:
    """Answers probes as a test says; after `fails_after` of them it fails."""

    def __init__(self, fails_after: int = 99) -> None:
        self.asked: list[str] = []
        self.process: str | None = "1700000000.5"
        self._fails_after = fails_after

    async def recall(self, text: str, *, generation: str) -> tuple[int, int]:
        if len(self.asked) == self._fails_after:
            raise SearchFailedError("no answer")
        self.asked.append(text)
        return 9, 10

    async def started(self) -> str | None:
        return self.process


class Results:
    """The canaries' last results, as they lie in Redis."""

    def __init__(self, *recalls: float) -> None:
        self._recalls = recalls

    async def hgetall(self, _: str) -> dict[bytes, bytes]:
        return {
            b"%d" % at: json.dumps(
                {"canary_id": f"c{at}", "recall": recall, "limit": 0.5, "ran_at": NOW.isoformat()}
            ).encode()
            for at, recall in enumerate(self._recalls)
        }


@dataclass
class With:
    """What the probes use of the dependencies."""

    redis: Results = field(default_factory=Results)
    search: Search = field(default_factory=Search)
    generations: Generations = field(default_factory=Generations)


QUERIES = WindowTally(query_examples=tuple(Example(text=f"q{number}") for number in range(20)))


def probes(with_: With, number: int = 12) -> Probes:
    return Probes(Settings(), DriftSettings(documents=0, probes=number), with_)


async def test_a_window_s_queries_are_probed_up_to_the_limit():
    with_ = With()
    tally, fields = await probes(with_, 5).measure("g1", QUERIES)
    assert with_.search.asked == ["q0", "q1", "q2", "q3", "q4"]
    assert tally.counts == {"recalled": 45, "probed": 50}
    assert fields == frozenset()


async def test_a_search_that_fails_ends_the_probes_and_what_was_found_counts():
    tally, _ = await probes(With(search=Search(fails_after=2))).measure("g1", QUERIES)
    assert tally.counts == {"recalled": 18, "probed": 20}


async def test_no_probes_are_no_sample():
    tally, _ = await probes(With(), 0).measure("g1", QUERIES)
    assert tally.counts == {}


async def test_the_canaries_last_results_count_in_tenths():
    tally, _ = await probes(With(redis=Results(1.0, 0.5, 0.0)), 0).measure("g1", WindowTally())
    assert tally.counts == {"canaries_found": 15, "canaries_expected": 30}


async def test_processes_are_those_that_can_be_seen():
    with_ = With()
    with_.generations.registry("g1").announced = [owner(0, instance="s1"), owner(1, instance="s2")]
    assert await probes(with_).processes("g1") == {"shards, s1", "shards, s2", "search, 1700000000.5"}
    with_.search.process = None
    assert await probes(with_).processes("g1") == {"shards, s1", "shards, s2"}
