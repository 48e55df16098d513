"""`headrace bench soak`: trends of memory, what is written, and what counts as broken."""

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import ProductChange
from schemas.search import SearchEvent
from services.lab.benchmarks import mixed_writes
from services.lab.benchmarks.load_run import LoadResult
from services.lab.benchmarks.mixed_writes import MixedWrites, WriteRates
from services.lab.benchmarks.soak import Soak, SoakMinute, broken, growth_of, minute_rows, requests, rows
from services.lab.benchmarks.watched_changes import SeenChange
from shared.settings import Settings
from shared.testing.publisher import MemoryPublisher
from tests.unit.lab.answers import search_answer

MB = 1e6
TIMES = [5.0 * number for number in range(240)]


def sawtooth(growth: float) -> list[float]:
    """Return memory with collections now and then, growing by so many bytes a second."""
    noise = np.random.default_rng(1).normal(0, MB, len(TIMES))
    return [
        400 * MB + growth * at + (number % 12) * MB / 4 + noise[number] for number, at in enumerate(TIMES)
    ]


def test_memory_that_goes_up_and_down_is_flat():
    growth = growth_of(TIMES, sawtooth(0))
    assert growth.flat
    assert growth.low < 0 < growth.high


def test_a_leak_is_told_by_both_ends_of_its_interval():
    growth = growth_of(TIMES, sawtooth(0.02 * MB))
    assert not growth.flat
    assert growth.low < 0.02 * MB < growth.high


@given(st.floats(-1e4, 1e4), st.floats(1e6, 1e9))
def test_the_slope_of_a_line_is_its_own(slope, first):
    growth = growth_of(TIMES, [first + slope * at for at in TIMES])
    assert growth.slope == pytest.approx(slope, abs=1e-3)
    assert growth.low <= growth.slope <= growth.high


def soak(*, memory=lambda _: 400 * MB, seen=0.1, errors=0, **other) -> Soak:
    made = Soak(1200.0, **other)
    made.memory = [(at, {"shards": memory(at), "valkey": 10 * MB + at * 1e5}) for at in TIMES]
    for number in range(3):
        minute = SoakMinute(LoadResult([0.01, 0.02]), began=60.0 * number)
        minute.searches.errors.update({"503": errors} if errors else {})
        made.minutes.append(minute)
    made.observations = [
        SeenChange(60.0 * number + 1, kind, seen)
        for number in range(3)
        for kind in ("freshness", "price change", "delete")
    ]
    return made


def test_nothing_is_broken_when_nothing_was_wrong_and_redis_is_not_judged():
    assert broken(soak()) == []


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        (soak(errors=2), "6 searches failed: 6 times 503"),
        (soak(refused=2), "2 searches failed: those of shoppers who click"),
        (soak(seen=None), "9 changes were never seen"),
        (soak(wrong=["p1"]), "1 products are not what was written last, such as p1"),
        (soak(dead=["after 5 s a worker did not say how it is"]), "after 5 s a worker did not say how it is"),
        (
            soak(memory=lambda at: 400 * MB + at * 0.05 * MB),
            "shards grew from 422 MB by 39.8 at least in 13 minutes",
        ),
    ],
)
def test_each_thing_that_was_wrong_is_said(seen, sentence):
    assert broken(seen) == [sentence]


def test_what_is_before_the_warm_up_counts_for_nothing():
    warming = soak(memory=lambda at: min(at, 400.0) * MB)
    assert broken(warming) == []


def test_the_whole_and_each_minute_are_told():
    names = {row.name for row in rows(soak())}
    assert {"search p50", "search p99", "search errors", "freshness p99", "growth of shards"} <= names
    minutes = {row.name: row.value for row in minute_rows(soak())}
    assert minutes["minute 3, search p99"] == pytest.approx(20)
    assert minutes["minute 1, price change p50"] == pytest.approx(100)


def test_searches_of_all_kinds_are_mixed_and_none_is_a_shopper_s():
    bodies = [request.partition(b"\r\n\r\n")[2] for request in requests(("h", 1), ["lamp", "sofa"])]
    for part in (b'"hybrid"', b'"lexical"', b'"dense"', b'"filters"'):
        assert any(part in body for body in bodies)
    assert all(b'"log":false' in body for body in bodies)


@pytest.fixture
def writes(sale) -> MixedWrites:
    return MixedWrites(Settings(), "http://nobody", sale.products[:30], ["lamp"], WriteRates())


async def test_what_is_expected_is_what_the_changes_make(writes, sale, monkeypatch):
    monkeypatch.setattr(mixed_writes, "AWAY_SECONDS", 0.0)
    publisher = MemoryPublisher()
    for _ in range(60):
        for act in (writes._anew, writes._reprice, writes._take_away):
            await act(publisher)
    while writes._away:
        await writes._bring_back(publisher)
    products = {product.id: product.fields() for product in sale.products[:30]}
    versions = []
    for message in publisher.messages:
        change = ProductChange.decode(message.value or b"")
        versions.append(change.version)
        if change.op == "delete":
            del products[change.product_id]
        elif change.op == "upsert":
            products[change.product_id] = dict(change.fields)
        else:
            products[change.product_id] |= change.fields
    assert versions == sorted(set(versions))
    assert len(products) == 30
    assert {name: products[name] for name in writes.expected} == writes.expected
    assert sum(writes.written.values()) == len(publisher.messages)


async def test_a_shopper_clicks_on_what_was_found_first(writes):
    publisher = MemoryPublisher()
    found = httpx.MockTransport(
        lambda _: httpx.Response(200, text=search_answer(["p1", "p2"]).model_dump_json())
    )
    async with mixed_writes.AsyncSearchClient("http://search", transport=found) as client:
        await writes._click(client, publisher)
    [message] = publisher.messages
    event = SearchEvent.decode(message.value or b"")
    assert (event.action_name, event.event_attributes.object.object_id) == ("click", "p1")
