"""Shoppers: reproducible, counted exactly, biased by position, and delivered badly on purpose."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.search import SearchEvent, SearchQuery
from services.lab.simulation import shop
from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import JITTER, Ranker, Simulation, Traffic, stream
from services.lab.simulation.truth import IMPRESSION, recount

UNTIL = datetime(2026, 3, 1, tzinfo=UTC)
SHOP = shop.sample(size=400, queries=20)


def run(**traffic):
    simulation = Simulation(SHOP, ClickModel(), Traffic(until=UNTIL, **{"sessions": 300, **traffic}))
    return simulation, list(stream(simulation, Ranker.blurred(SHOP, seed=1)))


def test_the_same_seed_writes_the_same_messages_and_the_same_truth():
    (one, first), (two, second) = run(), run()
    assert first == second
    assert one.truth == two.truth
    assert run(seed=2)[1] != first


@pytest.fixture(scope="module")
def busy():
    return run(sessions=3000, robots=0, duplicates=0)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    sessions=st.integers(0, 20),
    duplicates=st.floats(0, 1),
    disorder=st.floats(0, 1),
    late=st.floats(0, 1),
    robots=st.floats(0, 0.2),
)
def test_the_truth_is_what_a_naive_recount_of_the_messages_finds(**traffic):
    simulation, arrivals = run(**traffic)
    visits = list(simulation.visits())
    found = recount(
        (arrival.message for arrival in arrivals),
        robots={visit.client_id for visit in visits if visit.robot},
        texts={visit.typed: visit.query.text for visit in visits},
    )
    assert found == simulation.truth.shoppers


def test_what_a_search_engine_answered_is_shown_in_its_order_but_for_the_jitter():
    query, answered = SHOP.queries[0], [f"P{rank}" for rank in range(1, 101)]
    ranker, rng = Ranker.like({query.id: answered}, jitter=JITTER), random.Random(1)
    shown = Counter(product for _ in range(2000) for product in ranker.rank(query, 10, rng))
    assert shown["P1"] == 2000
    assert shown["P5"] > shown["P10"] > shown["P15"] > shown["P30"] > 0
    assert "P31" not in shown


def test_without_jitter_exactly_what_a_search_engine_answered_is_shown():
    query, answered = SHOP.queries[0], [f"P{rank}" for rank in range(1, 101)]
    ranker = Ranker.like({query.id: answered})
    assert {ranker.rank(query, 10, random.Random(seed)) for seed in range(50)} == {tuple(answered[:10])}


def test_messages_come_in_the_order_of_their_arrival():
    _, arrivals = run(disorder=0.5, late=0.1)
    assert [arrival.time for arrival in arrivals] == sorted(arrival.time for arrival in arrivals)


def test_the_share_of_duplicates_is_the_one_asked_for():
    _, arrivals = run(duplicates=0.1)
    copies = Counter(arrival.message.encode() for arrival in arrivals)
    assert set(copies.values()) == {1, 2}
    assert sum(count == 2 for count in copies.values()) / len(copies) == pytest.approx(0.1, abs=0.02)


def test_disorder_lets_events_overtake_their_query():
    _, arrivals = run(disorder=0.2)
    seen, early = set(), 0
    for arrival in arrivals:
        if isinstance(arrival.message, SearchQuery):
            seen.add(arrival.message.query_id)
        else:
            early += arrival.message.query_id not in seen
    assert early > 0


def test_without_disorder_nothing_overtakes():
    _, arrivals = run(disorder=0, late=0, duplicates=0)
    times = [arrival.message.timestamp for arrival in arrivals]
    assert times == sorted(times)


def test_event_times_stay_inside_the_span():
    _, arrivals = run(span=timedelta(days=3))
    for arrival in arrivals:
        ahead = arrival.message.timestamp - UNTIL
        assert -timedelta(days=3) <= ahead <= timedelta(minutes=4)


def test_robots_are_counted_apart():
    simulation, _ = run(robots=0.05)
    robots = simulation.truth.robots
    assert robots
    assert all(tally["click"] == tally[IMPRESSION] for tally in robots.values())


def test_raw_clicks_favour_the_top_at_equal_relevance(busy):
    _, arrivals = busy
    grade = {
        (query.text, product): SHOP.grade(query.id, product)
        for query in SHOP.queries
        for product in SHOP.grades[query.id]
    }
    shown, clicked = Counter(), Counter()
    for message in (arrival.message for arrival in arrivals):
        if isinstance(message, SearchQuery):
            ranking = enumerate(message.query_response_object_ids, start=1)
            text = " ".join(message.user_query.lower().split())
            shown.update(place for place, product in ranking if grade[text, product] == 3)
        elif isinstance(message, SearchEvent) and message.action_name == "click":
            text = " ".join(message.user_query.lower().split())
            if grade[text, message.event_attributes.object.object_id] == 3:
                clicked[message.event_attributes.position.ordinal] += 1
    rates = [clicked[place] / shown[place] for place in (1, 3, 8)]
    assert rates[0] > 1.5 * rates[1] > 1.5 * 1.5 * rates[2]


def test_relevance_drives_clicks_carts_and_purchases(busy):
    simulation, _ = busy
    totals = {grade: Counter() for grade in range(4)}
    for row in simulation.truth.table():
        totals[row["grade"]].update(row["shoppers"])
    clicks = [totals[grade]["click"] / totals[grade][IMPRESSION] for grade in range(4)]
    carts = [totals[grade]["add_to_cart"] / totals[grade]["click"] for grade in (1, 2, 3)]
    assert clicks == sorted(clicks)
    assert carts == sorted(carts)


def test_rare_actions_happen_and_some_purchases_come_days_later(busy):
    simulation, arrivals = busy
    assert {"favourite", "share", "store_visit", "purchase"} <= set(simulation.truth.totals())
    asked = {m.query_id: m.timestamp for _, _, m in arrivals if isinstance(m, SearchQuery)}
    bought = [m for _, _, m in arrivals if isinstance(m, SearchEvent) and m.action_name == "purchase"]
    assert any(event.timestamp - asked[event.query_id] > timedelta(days=1) for event in bought)


@given(sessions=st.integers(1, 40), seed=st.integers(0, 99), robots=st.floats(0, 1), haste=st.floats(1, 1000))
def test_visits_are_numbered_and_lie_within_the_span(sessions, seed, robots, haste):
    traffic = Traffic(until=UNTIL, sessions=sessions, seed=seed, robots=robots, haste=haste)
    visits = list(Simulation(SHOP, ClickModel(), traffic).visits())
    assert [visit.number for visit in visits] == list(range(len(visits)))
    assert all(UNTIL - traffic.span <= visit.time <= UNTIL for visit in visits)
    assert len({visit.session_id for visit in visits}) == sessions
    for visit in visits:
        assert " ".join(visit.typed.lower().split()) == " ".join(visit.query.text.lower().split())
        assert visit.robot is visit.client_id.startswith("robot-")


def test_sessions_begin_in_order_of_time():
    traffic = Traffic(until=UNTIL, sessions=50)
    begins = {}
    for visit in Simulation(SHOP, ClickModel(), traffic).visits():
        begins.setdefault(visit.session_id, visit.time)
    assert [*begins.values()] == sorted(begins.values())


def test_some_queries_are_asked_far_more_often_than_others():
    visits = Simulation(SHOP, ClickModel(), Traffic(until=UNTIL, sessions=2000, robots=0)).visits()
    counts = [count for _, count in Counter(visit.query.id for visit in visits).most_common()]
    assert counts[0] > 5 * counts[-1]


@given(st.integers(1, 10), st.integers(0, 99))
def test_a_ranking_has_as_many_products_as_were_asked_for_each_once(k, seed):
    ranker = Ranker.blurred(SHOP, seed=seed)
    for query in SHOP.queries[:3]:
        ranking = ranker.rank(query, k, random.Random(seed))
        assert len(ranking) == len(set(ranking)) == min(k, len(SHOP.grades[query.id]))


def test_without_jitter_a_ranking_is_that_of_the_scores():
    query = SHOP.queries[0]
    ranker = Ranker({query.id: [(1.0, "a"), (3.0, "b"), (2.0, "c")]}, jitter=0.0)
    assert ranker.rank(query, 2, random.Random(1)) == ("b", "c")


def test_a_blurred_ranking_is_good_but_not_perfect():
    perfect, blurred = Ranker.blurred(SHOP, seed=1, blur=0.0), Ranker.blurred(SHOP, seed=1)
    rng = random.Random(1)

    def gain(ranker):
        return sum(
            SHOP.grade(query.id, product) for query in SHOP.queries for product in ranker.rank(query, 5, rng)
        )

    assert gain(blurred) < gain(perfect)
    assert gain(blurred) > 0.4 * gain(perfect)
