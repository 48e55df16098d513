"""A shop's own front end in a trial shows and logs what `POST /search` would."""

import random
from datetime import UTC, datetime

from schemas.control import TrialTerms
from schemas.search import SearchQuery
from schemas.search_api import SearchRequest
from services.lab.simulation import shop
from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import Simulation, Traffic, stream
from services.lab.simulation.trial_front_end import TrialFrontEnd
from services.search.domain.answer import SearchAnswer
from services.search.domain.fusion import RankedCandidate
from services.search.domain.interleaving import participation, taking_part
from shared.generations.trial import Trial
from tests.unit.search.builders import candidate

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SHOP = shop.sample(size=300, queries=12)
TRIAL = Trial(name="trial-1", live="g1", candidate="g2", terms=TrialTerms(share=0.5), began_at=NOW)
PAGE = 10


def page(seed: int) -> dict[str, list[str]]:
    """Return a ranking of each query's graded products, and of some others."""
    rng = random.Random(seed)
    return {
        query.id: rng.sample(sorted(SHOP.grades[query.id]), min(PAGE, len(SHOP.grades[query.id])))
        for query in SHOP.queries
    }


LIVE, CANDIDATE = page(1), page(2)


def logged(**traffic) -> list[SearchQuery]:
    simulation = Simulation(
        SHOP, ClickModel(), Traffic(sessions=200, until=NOW, duplicates=0, sloppy=0, robots=0, **traffic)
    )
    arrivals = stream(simulation, TrialFrontEnd(TRIAL, LIVE, CANDIDATE))
    return [arrival.message for arrival in arrivals if isinstance(arrival.message, SearchQuery)]


def answer(generation: str, product_ids: list[str], query_id: str) -> SearchAnswer:
    ranked = [RankedCandidate(candidate(product_id, 0.5), 0.5) for product_id in product_ids]
    return SearchAnswer(
        query_id=query_id, generation=generation, fingerprint=None, mode="dense", reports=[], ranked=ranked
    )


def test_it_shows_and_logs_what_the_search_worker_would() -> None:
    ids = {query.text: query.id for query in SHOP.queries}
    records = logged()
    for record in records:
        query = ids[record.user_query]
        request = SearchRequest(text=record.user_query, session_id=record.session_id)
        part = participation(TRIAL, request, generation="g1")
        assert part is not None
        answers = [
            answer("g1", LIVE[query], record.query_id),
            answer("g2", CANDIDATE[query], record.query_id),
        ]
        expected = taking_part(answers[: 2 if part.arm == "interleaved" else 1], part, k=PAGE)
        shown = tuple(hit.candidate.product_id for hit in expected.ranked)
        assert record.query_response_object_ids == shown
        assert record.ranking is not None
        assert record.ranking.trial == expected.trial
    assert {record.ranking.trial.arm for record in records} == {"interleaved", "rest"}


def test_the_same_queries_are_asked_often_by_other_shoppers_of_the_same_shop() -> None:
    def order(seed: int) -> list[str]:
        simulation = Simulation(
            SHOP, ClickModel(), Traffic(sessions=2000, until=NOW, seed=seed, popularity=7, robots=0)
        )
        asked = [visit.query.id for visit in simulation.visits()]
        return sorted({*asked}, key=lambda query: -asked.count(query))

    assert order(1)[:3] == order(2)[:3]
    texts = {seed: [record.user_query for record in logged(seed=seed, popularity=7)] for seed in (1, 2)}
    assert texts[1] != texts[2]
