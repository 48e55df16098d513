"""A trial before real shards of two generations: who is interleaved, with what, and what is logged of it."""

import asyncio
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from schemas.search import SearchQuery
from services.search.domain.draft import coins_of, draft
from services.search.reranker import Reranker
from services.search.settings import RerankerSettings
from shared.generations.fitted import FittedParameters
from shared.generations.trial import arm_of
from tests.unit.search.conftest import MODEL
from tests.unit.search.test_reranker import Reader

RED_SHOE = {"text": "red shoe", "k": 4, "mode": "dense"}
INTERLEAVED = {**RED_SHOE, "session_id": "session-0"}
REST = {**RED_SHOE, "session_id": "session-1"}
LACKS = ("late", "failed", "partial", "unread")


def ids(answer):
    return [hit["product_id"] for hit in answer["hits"]]


def without_time(answer):
    return {name: value for name, value in answer.items() if name not in {"took_ms", "query_id", "trial"}}


def undrafted():
    name = "headrace_search_trial_undrafted_total"
    counts = {reason: REGISTRY.get_sample_value(name, {"reason": reason}) or 0 for reason in LACKS}
    return {reason: count for reason, count in counts.items() if count}


@pytest.fixture
async def open_trial(trial, open_api):
    """Return a function that opens the API while g2 is tried, and gives a way to ask it."""
    arms = [arm_of(trial, session_id=each["session_id"], client_id=None) for each in (INTERLEAVED, REST)]
    assert arms == ["interleaved", "rest"]

    async def open_trial(**settings):
        client = await open_api(**{"trial_budget": timedelta(minutes=1), "cached_queries": 0, **settings})

        async def ask(question, **more):
            answer = await client.post("/search", json={**question, **more})
            assert answer.status_code == 200, answer.text
            return answer.json()

        return ask

    return open_trial


@pytest.fixture
async def ask(open_trial):
    return await open_trial()


async def logged(shop):
    await shop.log.stop()
    return [SearchQuery.decode(message.value) for message in shop.published.messages]


def timed(arm):
    labels = {"endpoint": "search", "arm": arm}
    return REGISTRY.get_sample_value("headrace_search_seconds_count", labels) or 0


@pytest.mark.parametrize(("question", "arm"), [(INTERLEAVED, "interleaved"), (REST, "rest"), (RED_SHOE, "")])
async def test_the_time_of_an_answer_is_told_by_its_arm(ask, question, arm):
    before = {each: timed(each) for each in ("interleaved", "rest", "")}
    await ask(question)
    assert {each: timed(each) - count for each, count in before.items()} == {
        "interleaved": arm == "interleaved",
        "rest": arm == "rest",
        "": arm == "",
    }


async def test_an_interleaved_answer_is_the_draft_of_what_both_generations_find(ask, shop):
    live, candidate = [await ask(RED_SHOE, generation=name) for name in ("g1", "g2")]
    assert ids(live) != ids(candidate)
    answer = await ask(INTERLEAVED, query_id="Q")
    picks = draft(ids(live), ids(candidate), 4, coins=coins_of("trial-g2", "Q"))
    assert [(hit["team"], hit["product_id"]) for hit in answer["hits"]] == picks
    assert (answer["trial"], answer["generation"], answer["fingerprint"]) == ("trial-g2", "g1", MODEL)
    assert {hit["team"] for hit in answer["hits"]} == {"A", "B"}
    alone = {"A": live, "B": candidate}
    for hit in answer["hits"]:
        [same] = [it for it in alone[hit["team"]]["hits"] if it["product_id"] == hit["product_id"]]
        assert {**same, "rank": hit["rank"], "team": hit["team"]} == hit, "all its generation says of it"


async def test_the_log_knows_whose_each_hit_was_and_what_each_generation_found(ask, shop):
    live, candidate = [await ask(RED_SHOE, generation=name, log=False) for name in ("g1", "g2")]
    answer = await ask(INTERLEAVED)
    [record] = await logged(shop)
    ranking, trial = record.ranking, record.ranking.trial
    assert (trial.trial, trial.arm) == ("trial-g2", "interleaved")
    assert list(trial.teams) == [hit["team"] for hit in answer["hits"]]
    assert [(part.generation, part.hits) for part in trial.parts] == [("g1", 4), ("g2", 4)]
    assert all(part.took_ms > 0 for part in trial.parts)
    for hit, ranks in zip(ids(answer), trial.ranks, strict=True):
        found = [ids(each).index(hit) + 1 if hit in ids(each) else 0 for each in (live, candidate)]
        assert list(ranks) == found
    assert list(record.query_response_object_ids) == ids(answer)
    assert (ranking.generation, ranking.fingerprint) == ("g1", MODEL)
    similarities = [hit["scores"]["dense"] for hit in live["hits"]]
    assert ranking.similarities == pytest.approx(similarities, abs=1e-6), "of the live generation alone"


async def test_the_rest_is_answered_by_the_live_generation_and_logged_as_such(ask, shop):
    live = await ask(RED_SHOE, generation="g1", log=False)
    shop.network.asked.clear()
    answer = await ask(REST)
    assert {host for host, _ in shop.network.asked} == {"a"}
    assert without_time(answer) == without_time(live)
    assert (answer["trial"], {hit["team"] for hit in answer["hits"]}) == ("trial-g2", {None})
    [record] = await logged(shop)
    trial = record.ranking.trial
    assert (trial.arm, trial.teams, trial.ranks) == ("rest", "", ())
    assert [part.generation for part in trial.parts] == ["g1"]


@pytest.mark.parametrize(
    "question",
    [
        RED_SHOE,
        {**INTERLEAVED, "generation": "g1"},
        {**INTERLEAVED, "log": False},
        {**INTERLEAVED, "min_offsets": {"0": 1}},
        {**INTERLEAVED, "written": {"0": 0}},
    ],
    ids=["nobody's", "of a generation", "a probe", "after an offset", "after what was written"],
)
async def test_what_no_shopper_sees_of_the_live_generation_takes_no_part(ask, shop, question):
    answer = await ask(question)
    assert (answer["trial"], {hit["team"] for hit in answer["hits"]}) == (None, {None})
    assert {host for host, _ in shop.network.asked} == {"a"}
    assert [record.ranking.trial for record in await logged(shop)] in ([], [None])


async def test_there_is_no_trial_of_another_live_generation_nor_where_nothing_is_logged(open_trial, shop):
    ask = await open_trial(log_queries=False)
    assert (await ask(INTERLEAVED))["trial"] is None
    ask = await open_trial()
    shop.trial = shop.trial.model_copy(update={"live": "g0"})
    assert (await ask(INTERLEAVED))["trial"] is None
    shop.trial = None
    assert (await ask(INTERLEAVED))["trial"] is None


async def lose_model(shop):
    await shop.encoders.pop("g2").stop()


async def lose_a_shard(shop):
    shop.network.gone.add("candidate-1")


async def lose_every_shard(shop):
    shop.candidate_owners.clear()


async def break_model(shop):
    def encode_queries(texts):
        raise RuntimeError("the model broke")

    shop.models["g2"].encode_queries = encode_queries


@pytest.mark.parametrize(
    ("happens", "lack"),
    [
        (lose_model, "failed"),
        (lose_a_shard, "partial"),
        (lose_every_shard, "failed"),
        (break_model, "failed"),
    ],
)
async def test_when_the_candidate_cannot_answer_the_live_one_does_alone(ask, shop, happens, lack):
    live, before = await ask(RED_SHOE, generation="g1", log=False), undrafted()
    await happens(shop)
    answer = await ask(INTERLEAVED)
    assert without_time(answer) == without_time(live)
    assert undrafted() == {**before, lack: before.get(lack, 0) + 1}
    [record] = await logged(shop)
    trial = record.ranking.trial
    assert (trial.arm, trial.teams, [part.generation for part in trial.parts]) == ("interleaved", "", ["g1"])


async def test_nobody_waits_for_a_late_candidate_longer_than_its_budget(open_trial, shop):
    ask = await open_trial(trial_budget=timedelta(0))
    live, before = await ask(RED_SHOE, generation="g1", log=False), undrafted()
    shop.network.stuck |= {"candidate-0", "candidate-1"}
    assert without_time(await ask(INTERLEAVED)) == without_time(live)
    assert undrafted() == {**before, "late": before.get("late", 0) + 1}


async def test_an_answer_that_lacks_a_live_shard_is_not_held_against_the_live_generation(ask, shop):
    shop.owners = shop.owners[:1]
    answer = await ask(INTERLEAVED)
    assert (answer["partial"], {hit["team"] for hit in answer["hits"]}) == (True, {None})
    [record] = await logged(shop)
    assert record.ranking.partial
    assert record.ranking.trial.teams == ""


async def test_when_the_live_generation_cannot_answer_nobody_does(trial, shop, open_api):
    shop.owners.clear()
    client = await open_api()
    assert (await client.post("/search", json=INTERLEAVED)).status_code == 503


async def test_a_query_id_asked_again_goes_on_with_its_draft_also_after_a_restart(open_trial):
    pages = []
    for k in (2, 4, 6):
        ask = await open_trial()
        answer = await ask(INTERLEAVED, query_id="mine", k=k)
        assert answer["query_id"] == "mine"
        pages.append([(hit["team"], hit["product_id"]) for hit in answer["hits"]])
    assert pages[2][:4] == pages[1]
    assert pages[1][:2] == pages[0]
    assert pages[2] != [(hit["team"], hit["product_id"]) for hit in (await ask(INTERLEAVED, k=6))["hits"]]


async def test_each_generation_is_asked_by_its_own_model_and_weight(ask, shop):
    shop.fits = {"g1": FittedParameters(dense_weight=0.0), "g2": FittedParameters(dense_weight=1.0)}
    hybrid = {**INTERLEAVED, "mode": "hybrid", "k": 6}
    alone = {name: await ask(hybrid, generation=name) for name in ("g1", "g2")}
    scores = {name: {it["product_id"]: it["score"] for it in each["hits"]} for name, each in alone.items()}
    for hit in (await ask(hybrid))["hits"]:
        assert hit["score"] == scores["g1" if hit["team"] == "A" else "g2"][hit["product_id"]]


@pytest.fixture
async def reranker(shop):
    reader = Reader()
    shop.reranker = Reranker(RerankerSettings(weight=0.0, budget=timedelta(minutes=1)), lambda: reader)
    await shop.reranker.start()
    yield reader
    await shop.reranker.stop()


async def test_both_rankings_are_read_again_and_no_product_twice(shop, reranker, ask):
    texts, score = [], reranker.score
    reranker.score = lambda query, some: texts.extend(some) or score(query, some)
    answer = await ask(INTERLEAVED, mode="hybrid")
    assert answer["reranker"] == "applied"
    assert {hit["team"] for hit in answer["hits"]} == {"A", "B"}
    assert [hit["scores"]["reranker"] for hit in answer["hits"]][:2] == [1.0, 1.0], "socks first"
    assert len(texts) == len(set(texts)) == 6


async def test_a_candidate_that_is_not_read_in_time_is_left_out(shop, reranker, open_trial, pass_time):
    """The live generation's hits are read first: a trial costs no answer its reranker."""
    budget = timedelta(seconds=30)
    shop.reranker._settings = RerankerSettings(weight=0.0, depth=2, budget=budget)
    ask = await open_trial()
    question = {**INTERLEAVED, "text": "red sock", "mode": "hybrid", "k": 2}
    live, before = await ask(question, generation="g1", log=False), undrafted()
    loop, score, readings = asyncio.get_running_loop(), reranker.score, []

    def read(query, texts):
        readings.append(texts)
        if len(readings) == 2:
            loop.call_soon_threadsafe(pass_time, budget.total_seconds())
            reranker.go_on.clear()
        return score(query, texts)

    reranker.score = read
    answer = await ask(question)
    reranker.go_on.set()
    assert answer["reranker"] == "applied"
    assert without_time(answer) == without_time(live)
    assert undrafted() == {**before, "unread": before.get("unread", 0) + 1}
