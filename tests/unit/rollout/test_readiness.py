"""What a generation still lacks beside the live one, a sentence a lack."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.rollout.domain.readiness import GenerationEvidence, canaries_for, waiting_for
from tests.unit.rollout.conftest import LIVE, NOW, canary

WHOLE = replace(LIVE, generation="g2")


def lacks(live=LIVE, most_behind=100, **evidence):
    return waiting_for(replace(WHOLE, **evidence), live, most_behind=most_behind)


def test_what_is_as_whole_as_the_live_one_lacks_nothing():
    assert lacks() == []


def test_a_worker_that_does_not_serve_it_is_named_with_its_reason():
    assert lacks(waiting={"search/s": "the model is loaded", "embedder/x": ""}) == [
        "embedder/x: starting",
        "search/s: the model is loaded",
    ]


def test_a_worker_that_serves_the_live_one_must_serve_this_one():
    assert lacks(running=frozenset({"shards/d"})) == [
        "embedder/e does not serve it yet",
        "search/s does not serve it yet",
    ]


def test_a_worker_that_waits_is_not_said_to_be_away_as_well():
    waiting = {"search/s": "loads"}
    assert lacks(running=LIVE.running - {"search/s"}, waiting=waiting) == ["search/s: loads"]


def test_a_worker_that_serves_this_one_only_is_no_lack():
    assert lacks(running=LIVE.running | {"search/new"}) == []


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ({"taken_over": 1}, "1 of 2 partitions are still being filled"),
        ({"taken_over": 0}, "2 of 2 partitions are still being filled"),
        ({"ready": 1}, "1 of 2 shards are not ready"),
        ({"ready": 0}, "2 of 2 shards are not ready"),
        ({"shard_lag": 1101}, "1,101 messages behind"),
        ({"embedder_lag": 101}, "101 messages behind"),
        ({"embedder_lag": 51, "shard_lag": 50}, "101 messages behind"),
        ({"documents": 99}, "99 products, g1 has 100"),
        ({"documents": 1101}, "1,101 products, g1 has 100"),
    ],
)
def test_each_lack_is_one_sentence(evidence, reason):
    assert lacks(**evidence) == [reason]


def test_of_many_partitions_and_shards_the_missing_ones_are_counted():
    assert lacks(partitions=7, ready=2, sources=9, taken_over=1) == [
        "8 of 9 partitions are still being filled",
        "5 of 7 shards are not ready",
    ]
    assert lacks(partitions=1000, ready=1000, sources=1000, taken_over=1000) == []
    assert lacks(ready=3, taken_over=3) == [], "more than there should be, while a topic grows"


def test_as_many_behind_as_may_be_is_no_lack():
    assert lacks(embedder_lag=100) == []
    assert lacks(most_behind=0) == []
    assert lacks(most_behind=0, shard_lag=1) == ["1 messages behind"]


@pytest.mark.parametrize("documents", [90, 110])
def test_products_may_differ_by_what_is_on_its_way_here_or_there(documents):
    assert lacks(documents=documents, embedder_lag=10) == []
    assert lacks(documents=documents, live=replace(LIVE, shard_lag=10)) == []
    assert lacks(documents=documents, live=replace(LIVE, shard_lag=5), embedder_lag=5) == []
    assert len(lacks(documents=documents, live=replace(LIVE, shard_lag=5), embedder_lag=4)) == 1


def test_the_lag_is_that_of_embedder_and_shards_together():
    evidence = GenerationEvidence(generation="g", partitions=1, sources=1, shard_lag=3, embedder_lag=4)
    assert evidence.lag == 7
    assert (evidence.ready, evidence.documents, evidence.taken_over) == (0, 0, 0)


def test_a_generation_of_which_nothing_is_known_lacks_everything():
    unknown = GenerationEvidence(generation="g2", partitions=2, sources=3)
    assert waiting_for(unknown, LIVE, most_behind=100) == [
        "embedder/e does not serve it yet",
        "search/s does not serve it yet",
        "shards/d does not serve it yet",
        "3 of 3 partitions are still being filled",
        "2 of 2 shards are not ready",
        "0 products, g1 has 100",
    ]


counts = st.integers(0, 300)


@given(documents=counts, shard_lag=counts, embedder_lag=counts, live_lag=counts, most_behind=counts)
def test_what_is_ready_is_not_far_behind_and_has_every_product_that_is_not_on_its_way(
    documents, shard_lag, embedder_lag, live_lag, most_behind
):
    live = replace(LIVE, shard_lag=live_lag)
    reasons = lacks(live, most_behind, documents=documents, shard_lag=shard_lag, embedder_lag=embedder_lag)
    lag = shard_lag + embedder_lag
    assert (reasons == []) == (lag <= most_behind and abs(documents - 100) <= lag + live_lag)


def against(candidate, live=None, since=NOW):
    """Return what canary `c` says against a generation, by what it finds on both."""
    live = live or canary(0.9)
    return canaries_for(
        replace(WHOLE, canaries={} if candidate is None else {"c": candidate}),
        replace(LIVE, canaries={"c": live}),
        since=since,
    )


def test_a_canary_must_find_what_it_must_find_on_the_live_generation():
    assert against(canary(0.5)) == []
    assert against(canary(0.49)) == ["canary c: recall 0.49, g1 has 0.90"]


def test_or_what_it_finds_there_if_that_is_less():
    assert against(canary(0.3), live=canary(0.3, limit=0.5)) == []
    assert against(canary(0.2), live=canary(0.3, limit=0.5)) == ["canary c: recall 0.20, g1 has 0.30"]


def test_one_that_finds_nothing_where_the_live_one_finds_something_is_never_enough():
    assert against(canary(0.0), live=canary(0.1, limit=0.0)) == ["canary c: recall 0.00, g1 has 0.10"]
    assert against(canary(0.1), live=canary(0.1, limit=0.0)) == []
    assert against(canary(0.0), live=canary(0.0, limit=0.5)) == []


def test_a_run_from_before_it_caught_up_does_not_count():
    not_run = ["canary c has not been run since it caught up"]
    assert against(None) == not_run
    assert against(canary(0.9, ran_at=NOW - timedelta(microseconds=1))) == not_run
    assert against(canary(0.9, ran_at=NOW)) == []
    assert against(canary(0.9, ran_at=NOW + timedelta(seconds=1))) == []
    assert against(canary(0.9), since=NOW + timedelta(seconds=1)) == not_run


def test_canaries_that_only_the_candidate_has_say_nothing():
    assert canaries_for(WHOLE, replace(LIVE, canaries={}), since=NOW) == []


def test_every_canary_is_named_in_order():
    live = replace(LIVE, canaries={name: canary(0.9) for name in ("b", "a", "c")})
    candidate = replace(WHOLE, canaries={"a": canary(0.1), "b": canary(0.9)})
    assert canaries_for(candidate, live, since=NOW) == [
        "canary a: recall 0.10, g1 has 0.90",
        "canary c has not been run since it caught up",
    ]
