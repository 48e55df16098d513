"""The judgements' own counting, held against what the simulator knows."""

from datetime import UTC, datetime

import pytest

from services.judgements.domain.counts import QueryProduct
from services.judgements.domain.rules import JoinRules
from services.judgements.domain.statistics import BusinessObjective
from services.lab.benchmarks.click_model_ablation import OTHER_SHOPPERS, SHOWN, simulated
from services.lab.simulation import shop
from services.lab.simulation.comparison import compare, corrected_rates, recounted
from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import Ranker, Simulation, Traffic, stream
from services.lab.simulation.truth import IMPRESSION
from shared.catalogue.query_text import normalise

SHOP = shop.sample()
UNTIL = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module", params=[1, 2, 3])
def counted(request):
    traffic = Traffic(sessions=3000, until=UNTIL, seed=request.param)
    simulation = Simulation(SHOP, ClickModel(), traffic)
    return simulation.truth, recounted(
        stream(simulation, Ranker.blurred(SHOP, seed=request.param)), JoinRules()
    )


def test_the_judgements_count_exactly_what_happened_with_duplicates_disorder_and_robots(counted):
    truth, found = counted
    happened = {
        QueryProduct(normalise(query), product): dict(tally)
        for (query, product), tally in truth.shoppers.items()
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
    raw, corrected = compare(truth, corrected_rates(found, BusinessObjective()), impressions=shown)
    assert corrected.pairs == raw.pairs > 150
    assert corrected.overall > raw.overall


@pytest.mark.parametrize("model", [ClickModel(), *OTHER_SHOPPERS.values()])
def test_on_a_small_log_too_and_with_shoppers_who_look_otherwise(model):
    log = simulated(SHOP, 600, 1, until=UNTIL, model=model)
    rates = corrected_rates(recounted(log.arrivals, JoinRules()), BusinessObjective())
    for shown in SHOWN:
        raw, corrected = compare(log.truth, rates, impressions=shown)
        assert corrected.overall > raw.overall
