"""The judgements' own counting, held against what the simulator knows."""

from datetime import UTC, datetime

import pytest

from services.cli.simulation import shop
from services.cli.simulation.comparison import compare, corrected_rates, recounted
from services.cli.simulation.shoppers import ClickModel
from services.cli.simulation.traffic import Ranker, Simulation, Traffic, stream
from services.cli.simulation.truth import IMPRESSION
from services.judgements.domain.counts import Pair
from services.judgements.domain.query import normalise
from services.judgements.domain.rules import Rules
from services.judgements.domain.statistics import Objective

SHOP = shop.sample()


@pytest.fixture(scope="module", params=[1, 2, 3])
def counted(request):
    traffic = Traffic(sessions=3000, until=datetime(2026, 3, 1, tzinfo=UTC), seed=request.param)
    simulation = Simulation(SHOP, ClickModel(), traffic)
    return simulation.truth, recounted(stream(simulation, Ranker(SHOP, seed=request.param)), Rules())


def test_the_judgements_count_exactly_what_happened_with_duplicates_disorder_and_robots(counted):
    truth, found = counted
    happened = {
        Pair(normalise(query), product): dict(tally) for (query, product), tally in truth.shoppers.items()
    }
    assert found.left_out["duplicate"] > 0
    assert found.left_out["robot"] > 0
    assert {
        pair: {IMPRESSION: sum(counts.impressions.values()), **counts.actions}
        for pair, counts in found.tally.window(0).items()
    } == happened


def test_the_corrected_rate_is_closer_to_the_truth_than_the_raw_one(counted):
    truth, found = counted
    raw, corrected = compare(truth, corrected_rates(found, Objective()))
    assert corrected.pairs == raw.pairs > 150
    assert corrected.overall > raw.overall
