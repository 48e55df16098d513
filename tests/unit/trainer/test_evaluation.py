"""A tiny model, fitted, is judged as a real one is."""

import orjson
import pytest

from schemas.control import Model
from services.cli import matrix
from services.cli.simulation.catalogue import Catalogue, Product, Query
from services.trainer.domain.card import card
from services.trainer.domain.recipe import Recipe
from services.trainer.domain.verdict import Terms
from services.trainer.evaluation.codes import WHOLE
from services.trainer.evaluation.evaluate import FIT_LEAST
from services.trainer.evaluation.ground import Embedded, Ground, embed, grounds
from services.trainer.evaluation.judge import Judge
from services.trainer.evaluation.last_stage import UNFITTED, LastStage
from services.trainer.learning import train
from shared.encoder import load
from shared.errors import ConfigurationError
from shared.settings import ModelSettings
from tests.unit.trainer.tiny import tiny_dataset, tiny_model


def silent(*_: object) -> None:
    """Tell nobody."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    here = tmp_path_factory.mktemp("judged")
    recipe = Recipe(learning_rate=5e-3, epochs=5, queries=4, rows=16, validation_products=64)
    base = tiny_model(here / "base")
    tuned = train(
        tiny_dataset(), recipe, base=base, work=here / "work", out=here / "tuned", progress=silent
    ).directory
    return base, tuned


def test_a_model_that_learned_is_admitted_and_its_card_says_why(models):
    base, tuned = models
    terms = Terms(least=5, margin=1.0)
    judge = Judge(live=base, model=ModelSettings(), progress=silent, terms=terms)
    judged = judge.judge(tiny_dataset(), tuned, Recipe())
    assert judged.verdict.admitted
    whole = judged.evaluated.compared[0]
    assert (whole.ground, whole.measure, whole.code, whole.queries) == (
        "held_out",
        "nDCG@10",
        "24 fp32",
        8,
    )
    assert whole.low > 0
    found = {(it.ground, it.measure, it.part) for it in judged.evaluated.compared}
    assert {("general", "nDCG@10", ""), ("novel_query", "condensed nDCG@10", "")} <= found
    assert judged.evaluated.metrics()["nDCG@10 held_out"] == whole.candidate
    assert judged.evaluated.dense_weight is None, "eight queries are too few to fit it"
    record = Model(
        model_id="m1",
        fingerprint=judged.evaluated.candidate,
        location=str(tuned),
        dimensions=24,
        verdict="admitted",
        reasons=judged.verdict.reasons,
        created_at="2026-11-01T00:00:00Z",
    )
    text = card(record, tiny_dataset().manifest, judged.evaluated.compared)
    assert text.startswith("# Model m1\n\nAdmitted. Better: nDCG@10 on held_out")
    assert f"| nDCG@10 held_out | 24 fp32 | {whole.live:.4f} | {whole.candidate:.4f} |" in text


def test_with_enough_validation_queries_weight_and_threshold_are_fitted(models):
    base, tuned = models
    data = tiny_dataset()
    more = [
        it.model_copy(update={"query": f"{it.query} {number}"})
        for it in data.of("validation")
        for number in range(FIT_LEAST)
    ]
    data = type(data)(data.manifest, (*data.pairs, *more), data.negatives, data.products)
    found = Judge(live=base, model=ModelSettings(), progress=silent).judge(data, tuned, Recipe()).evaluated
    assert 0 <= found.dense_weight <= 1
    assert -1 <= found.threshold <= 1


class Says:
    """A student whose score of a text is given, and that counts what it is asked."""

    module = None

    def __init__(self, scores):
        self.scores, self.asked, self.prepared = scores, 0, []

    def prepare(self, texts):
        self.prepared = texts

    def score(self, query, texts):
        self.asked += len(texts)
        return [self.scores[text] for text in texts]


def test_the_weight_of_a_last_stage_follows_who_is_right(models):
    embedded = embed(load(ModelSettings(path=models[0])), {"p1": "one", "p2": "two", "p3": "three"}, ["q"])
    first = embedded.ranked(Ground("g", {"q": {"p1": 3}}), WHOLE)["q"]
    ground = Ground("g", {"q": {first[-1]: 3}})
    corpus = dict(zip(first, ("first", "second", "last"), strict=True))
    right, wrong = Says({"first": 0, "second": 1, "last": 2}), Says({"first": 2, "second": 1, "last": 0})
    stage = LastStage([ground], embedded, corpus=corpus, student=right)
    assert stage.fitted_weight(ground) < 0.5
    assert stage.compared(ground, weight=0.0).candidate == 1.0
    assert stage.compared(ground, weight=1.0).difference == 0.0
    assert right.asked == 3, "a pair is scored once"
    assert sorted(right.prepared) == ["first", "last", "second"]
    agreed = LastStage([ground], embedded, corpus=corpus, student=wrong)
    assert agreed.compared(ground, weight=0.5).difference == 0.0


def test_the_same_model_again_is_refused(models):
    base, _ = models
    judge = Judge(live=base, model=ModelSettings(), progress=silent, terms=Terms(least=5))
    verdict = judge.judge(tiny_dataset(), base, Recipe()).verdict
    assert not verdict.admitted
    assert verdict.reasons[0].startswith("not better beyond doubt")


@pytest.mark.parametrize("kind", ["reranker", "late-interaction"])
def test_a_last_stage_is_judged_by_how_it_orders_the_best_beside_the_vectors(models, kind):
    base, _ = models
    judge = Judge(live=base, model=ModelSettings(), progress=silent)
    found = judge.judge(tiny_dataset(), base, Recipe(kind=kind)).evaluated
    assert found.dense_weight == UNFITTED
    assert [(it.ground, it.code) for it in found.compared] == [
        ("held_out", "best 20 ordered anew"),
        ("novel_query", "best 20 ordered anew"),
    ]
    assert found.compared[0].queries == 8


def test_what_was_learned_for_a_query_is_taken_out_of_its_ranking():
    data = tiny_dataset()
    pairs = [it.model_copy(update={"split": "in_domain"}) for it in data.pairs if it.split == "train"][::4]
    held = {(it.query, it.product_id) for it in pairs}
    rest = [it for it in data.pairs if (it.query, it.product_id) not in held]
    found = {it.name: it for it in grounds(type(data)(data.manifest, (*rest, *pairs), (), data.products))}
    ground = found["in_domain"]
    for query, excluded in ground.excluded.items():
        assert excluded
        assert not excluded & ground.grades[query].keys()
    assert not found["novel_query"].excluded


def test_what_was_judged_last_is_a_ground_of_its_own():
    data = tiny_dataset()
    held_out = [it for it in data.pairs if it.split == "novel_query"]
    newest = held_out[0].query
    pairs = tuple(it.model_copy(update={"late": it.query == newest}) for it in data.pairs)
    found = {it.name: it for it in grounds(type(data)(data.manifest, pairs, (), data.products))}
    assert set(found) == {"held_out", "novel_query", "late"}
    assert set(found["late"].grades) == {newest}


def test_head_torso_and_tail_share_the_impressions():
    data = tiny_dataset()
    pairs = tuple(
        it.model_copy(update={"impressions": 900 if it.query == "cheap lamp" else 10, "category": "home"})
        for it in data.pairs
    )
    ground, alone = grounds(type(data)(data.manifest, pairs, (), data.products))
    assert ground.slices["head"] == {"cheap lamp"}
    assert (ground.grades, ground.slices) == (alone.grades, alone.slices), "there is one split"
    assert ground.slices["category home"] == {*ground.queries}
    assert {*ground.queries} == ground.slices["head"] | ground.slices["tail"] | ground.slices.get(
        "torso", set()
    )


def test_products_are_ranked_by_cosine_and_excluded_ones_left_out(models):
    corpus = {product.product_id: product.text for product in tiny_dataset().products}
    embedded: Embedded = embed(load(ModelSettings(path=models[1])), corpus, ["lamp for home"])
    ground = Ground("one", {"lamp for home": {"lamp-red": 3}})
    everything = embedded.ranked(ground, WHOLE, depth=64)["lamp for home"]
    cosines = dict(zip(embedded.ids, embedded.documents @ embedded.queries["lamp for home"], strict=True))
    assert [cosines[it] for it in everything] == sorted(cosines.values(), reverse=True)
    without = Ground("one", ground.grades, {"lamp for home": frozenset(everything[:2])})
    assert embedded.ranked(without, WHOLE, depth=5)["lamp for home"] == everything[2:7]


def test_the_command_compares_two_models_and_draws(models, tmp_path):
    shop = Catalogue(
        tuple(Product(id=it.product_id, title=it.text) for it in tiny_dataset().products),
        (Query("q1", "cheap lamp"), Query("q2", "cheap boot")),
        {"q1": {"lamp-red": 3, "boot-red": 0}, "q2": {"boot-oak": 2}},
    )
    base, tuned = (ModelSettings(path=it) for it in models)
    found = matrix.evaluated(shop, tuned, base)
    rows = {row.name: row for row in matrix.rows(found, alone=False, costs=True)}
    assert rows["nDCG@10 at 24 fp32"].interval is not None
    assert rows["bytes at 4 binary rescored"].value == 0.5 + 48
    assert orjson.dumps([row.json() for row in rows.values()])
    matrix.plot(found, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")

    alone = {
        row.name: row for row in matrix.rows(matrix.evaluated(shop, tuned, tuned), alone=True, costs=False)
    }
    assert alone["nDCG@10 at 24 fp32"].value == rows["nDCG@10 at 24 fp32"].value
    assert alone["nDCG@10 at 24 fp32"].bound is None


def test_a_hostile_directory_is_refused_before_it_is_loaded(models, tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    judge = Judge(live=models[0], model=ModelSettings(), progress=silent)
    with pytest.raises(ConfigurationError, match=r"evil\.py"):
        judge.judge(tiny_dataset(), tmp_path, Recipe())
