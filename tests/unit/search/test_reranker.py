"""The reranker: read in time it decides with the others, else the order stays; and the models that read."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import CrossEncoder, MultiVectorEncoder

from services.search.domain.fusion import RankedCandidate
from services.search.domain.reranker import reordered
from services.search.reranker import Reranker
from services.search.settings import RerankerSettings
from shared.encoder import pairs
from shared.encoder.libraries import loading
from shared.errors import ConfigurationError
from tests.unit.search.builders import candidate
from tests.unit.trainer.tiny import tiny_model

RED_SHOE = {"text": "red shoe", "k": 3}
scores = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def ranked(values):
    return [RankedCandidate(candidate(f"p{n}"), value) for n, value in enumerate(sorted(values)[::-1])]


@given(scores, scores, st.floats(0, 1))
def test_scores_fall_and_nothing_is_lost(first, own, weight):
    before = ranked(first)
    after = reordered(before, own[: len(before)], weight=weight)
    values = [each.score for each in after]
    assert values == sorted(values, reverse=True)
    assert {each.candidate.product_id for each in after} == {each.candidate.product_id for each in before}
    assert all(0 <= value <= 1 for value in values)


def test_the_weight_says_who_decides():
    before, own = ranked([0.9, 0.5, 0.1]), [0.0, 1.0, 2.0]
    order = lambda weight: [it.candidate.product_id for it in reordered(before, own, weight=weight)]  # noqa: E731
    assert order(1.0) == ["p0", "p1", "p2"]
    assert order(0.0) == ["p2", "p1", "p0"]
    beyond = reordered(before, own[:2], weight=0.0)
    assert [it.candidate.product_id for it in beyond] == ["p1", "p0", "p2"]
    assert [it.reranker for it in beyond] == [1.0, 0.0, None]


class Reader:
    """A model that prefers socks; it waits until it may go on."""

    def __init__(self):
        self.go_on = threading.Event()
        self.go_on.set()
        self.read = 0

    def score(self, query, texts):
        assert self.go_on.wait(20)
        if query == "blue sock":
            raise RuntimeError("the model broke")
        self.read += 1
        return [float("sock" in text) for text in texts]


@pytest.fixture
async def stage():
    made = []

    async def start(**settings):
        reader = Reader()
        stage = Reranker(RerankerSettings(**{"weight": 0.0, "budget": 60, **settings}), lambda: reader)
        await stage.start()
        made.append((stage, reader))
        return stage, reader

    yield start
    for each, reader in made:
        reader.go_on.set()
        await each.stop()


async def test_it_orders_the_best_hits_of_a_hybrid_search(open_api, shop, stage):
    shop.reranker, reader = await stage()
    client = await open_api()
    plain = (await client.post("/search", json={**RED_SHOE, "reranker": False})).json()
    assert (plain["reranker"], plain["hits"][0]["product_id"], reader.read) == (None, "p1", 0)
    answer = (await client.post("/search", json=RED_SHOE)).json()
    assert answer["reranker"] == "applied"
    assert answer["hits"][0]["product_id"] == "p3"
    assert answer["hits"][0]["scores"]["reranker"] == 1.0
    assert len(answer["hits"]) == 3
    one = (await client.post("/search", json={**RED_SHOE, "k": 1})).json()
    assert [hit["product_id"] for hit in one["hits"]] == ["p3"], "it reads more than are asked for"
    why = (await client.get("/why", params={"query": "red shoe", "product_id": "p3"})).json()
    assert (why["rank"], why["reasons"][-2]) == (1, "the reranker gives it 1.0000")
    for mode in ("dense", "lexical"):
        other = (await client.post("/search", json={**RED_SHOE, "mode": mode})).json()
        assert other["reranker"] is None


async def test_when_it_is_late_the_order_stays_and_when_it_is_busy_nobody_waits(open_api, shop, stage):
    shop.reranker, reader = await stage(budget=0.05)
    client = await open_api()
    reader.go_on.clear()
    for outcome in ("late", "late", "busy", "busy"):
        answer = (await client.post("/search", json=RED_SHOE)).json()
        assert (answer["reranker"], answer["hits"][0]["product_id"]) == (outcome, "p1")
    reader.go_on.set()


async def test_a_model_that_breaks_leaves_the_order_as_it_was(open_api, shop, stage):
    shop.reranker, _ = await stage()
    client = await open_api()
    answer = await client.post("/search", json={"text": "blue sock"})
    assert (answer.status_code, answer.json()["reranker"]) == (200, "failed")
    assert answer.json()["hits"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    base = tiny_model(tmp_path_factory.mktemp("last") / "base")
    late, cross = base.parent / "late", base.parent / "cross"
    MultiVectorEncoder(str(base), **loading("cpu")).save(str(late), create_model_card=False)
    CrossEncoder(str(base), num_labels=1, **loading("cpu")).save(str(cross), create_model_card=False)
    return base, late, cross


def test_a_late_interaction_model_is_read_and_remembers_products(models):
    model = pairs.load(models[1], remember=2)
    texts = ["red lamp", "blue chair", "oak rope"]
    first = model.score("red lamp", texts)
    assert first[0] == max(first) == pytest.approx(1, abs=1e-4), "the same words have the same vectors"
    assert model.score("red lamp", texts[::-1]) == pytest.approx(first[::-1], abs=1e-5)
    assert len(model._known) == 2


def test_a_cross_encoder_is_read(models):
    model = pairs.load(models[2])
    one, other = model.score("red lamp", ["red lamp", "blue chair"])
    assert model.score("red lamp", ["blue chair"]) == pytest.approx([other], abs=1e-5)
    assert one != other


def test_what_is_neither_is_refused(models, tmp_path):
    with pytest.raises(ConfigurationError, match="neither a cross-encoder nor a late-interaction model"):
        pairs.load(models[0])
    with pytest.raises(ConfigurationError, match="is not a directory"):
        pairs.load(tmp_path / "none")
