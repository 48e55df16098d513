"""The judgements' own counting, held against what the simulator knows."""

from datetime import UTC, datetime

import pytest

from services.cli.benchmarks.taste import OTHER_SHOPPERS, SHOWN, simulated
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
UNTIL = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module", params=[1, 2, 3])
def counted(request):
    traffic = Traffic(sessions=3000, until=UNTIL, seed=request.param)
    simulation = Simulation(SHOP, ClickModel(), traffic)
    return simulation.truth, recounted(stream(simulation, Ranker.blurred(SHOP, seed=request.param)), Rules())


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


@pytest.mark.parametrize("shown", SHOWN)
def test_the_corrected_rate_is_closer_to_the_truth_than_the_raw_one(counted, shown):
    truth, found = counted
    raw, corrected = compare(truth, corrected_rates(found, Objective()), impressions=shown)
    assert corrected.pairs == raw.pairs > 150
    assert corrected.overall > raw.overall


@pytest.mark.parametrize("model", [ClickModel(), *OTHER_SHOPPERS.values()])
def test_on_a_small_log_too_and_with_shoppers_who_look_otherwise(model):
    log = simulated(SHOP, 600, 1, until=UNTIL, model=model)
    rates = corrected_rates(recounted(log.arrivals, Rules()), Objective())
    for shown in SHOWN:
        raw, corrected = compare(log.truth, rates, impressions=shown)
        assert corrected.overall > raw.overall
