"""What search answers is read as it is: both scores, the positives it does not find, what it lacks."""

from datetime import UTC, datetime

import pytest

from headrace.search_api import AsyncSearchClient
from services.negatives.domain.evidence import RelevanceEvidence
from services.negatives.domain.mine import mine
from services.negatives.domain.plan import MiningPlan, plan_mining
from services.negatives.domain.rules import MiningRules
from services.negatives.retriever import SearchRetriever
from services.negatives.settings import NegativeSettings
from shared.errors import TransientError

MODEL = "0123456789abcdef"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RIGHT = RelevanceEvidence(actions=5, objective_actions=5, expected=1.0, grade=2.9)


@pytest.fixture
async def client(open_api, shop):
    await open_api()
    async with AsyncSearchClient("http://search", transport=shop.api) as client:
        yield client


def wanting(*positives, engaged=(), relevant=(), co_positives=()):
    return MiningPlan(
        positives,
        engaged=frozenset(engaged),
        relevant=frozenset(relevant),
        skipped=frozenset(),
        co_positives=frozenset(co_positives),
    )


def asking(client, *, scored_positives=5, **rules):
    return SearchRetriever(client, rules=MiningRules(**rules), scored_positives=scored_positives)


async def test_the_live_index_is_told(client, shop):
    assert await asking(client).live() == ("g1", MODEL)
    assert shop.published.messages == []


async def test_every_hit_has_both_scores_and_its_likeness(client, shop):
    found = await asking(client).retrieve("red shoe", wanting("p1"))
    assert (found.generation, found.fingerprint) == ("g1", MODEL)
    assert {hit.product_id for hit in found.hits} == {"p1", "p2", "p3", "p4", "p5", "p6"}
    assert all(hit.dense is not None for hit in found.hits)
    assert found.weakest == pytest.approx(1, abs=1e-3)
    assert [identity.words for identity in found.identities] == [{"red", "shoe"}]
    assert shop.published.messages == []


async def test_a_positive_that_is_not_among_the_hits_is_asked_for(client):
    found = await asking(client, depth=1).retrieve("red shoe", wanting("p1", "p4", "unknown"))
    assert "p4" not in {hit.product_id for hit in found.hits}
    assert found.scores.keys() == {"p1", "p4"}
    assert found.weakest == found.scores["p4"] < found.scores["p1"]
    assert {"blue", "sock"} in [identity.words for identity in found.identities]
    bounded = await asking(client, depth=1, scored_positives=0).retrieve("red shoe", wanting("p1", "p4"))
    assert bounded.scores.keys() == {"p1"}


async def test_the_likeness_of_all_that_may_be_relevant_is_told_and_nothing_more_is_asked_for(client, shop):
    plan = wanting("p1", engaged=("p2", "p1"), relevant=("p3",), co_positives=("p4", "unknown"))
    found = await asking(client).retrieve("red shoe", plan)
    likeness = {hit.product_id: hit.identity for hit in found.hits}
    assert set(found.identities) == {likeness[name] for name in ("p1", "p2", "p3", "p4")}
    assert len(found.identities) == 4
    few = await asking(client, depth=1).retrieve("red shoe", wanting("p1", engaged=("p4",)))
    assert "p4" not in {hit.product_id for hit in few.hits}
    assert few.identities == (likeness["p1"],)


async def test_negatives_are_mined_from_a_real_index(client):
    found = await asking(client).retrieve("red shoe", wanting("p1"))
    rules = MiningRules(likely=1.0)
    mined = mine("red shoe", plan_mining({"p1": RIGHT}, rules), found, rules=rules, now=NOW)
    assert mined.refused["positive"] == 1
    assert mined.refused["duplicate"] == 1  # p5, of p1; p2 and p6 are the same product, too
    assert {negative.product_id for negative in mined.negatives} == {"p3", "p4", "p6"}
    assert {negative.difficulty for negative in mined.negatives} <= {"easy", "medium", "hard"}


async def test_what_has_the_words_of_the_query_is_too_likely_to_be_what_shoppers_choose(client):
    found = await asking(client).retrieve("red shoe", wanting("p1"))
    covered = {hit.product_id: hit.coverage for hit in found.hits}
    assert (covered["p1"], covered["p4"]) == (1.0, 0.0)
    mined = mine("red shoe", plan_mining({"p1": RIGHT}, MiningRules()), found, rules=MiningRules(), now=NOW)
    assert {negative.product_id for negative in mined.negatives} == {"p4"}
    assert mined.refused["likely"] == 3


async def test_a_query_that_search_refuses_has_no_answer(client):
    assert await asking(client).retrieve(" ", wanting("p1")) is None


async def test_an_answer_that_lacks_a_shard_is_no_answer(client, shop):
    shop.owners = shop.owners[:1]
    with pytest.raises(TransientError, match="shard"):
        await asking(client).retrieve("red shoe", wanting("p1"))


async def test_no_search_at_all_is_transient(client, shop):
    shop.network.gone.add("a")
    with pytest.raises(TransientError, match="no shard could answer"):
        await asking(client).retrieve("red shoe", wanting("p1"))


def test_settings_are_rules():
    assert NegativeSettings().rules() == MiningRules()
    assert NegativeSettings(number=3, method="random").rules() == MiningRules(number=3, method="random")
    assert len({MiningRules().name, MiningRules(number=3).name}) == 2
    with pytest.raises(ValueError, match="first_rank"):
        NegativeSettings(first_rank=9, last_rank=3)
    with pytest.raises(ValueError, match="medium"):
        NegativeSettings(medium=0.9)
