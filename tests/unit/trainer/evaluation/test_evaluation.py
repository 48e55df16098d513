"""A model that knows the words is judged beside one that does not, as real ones are."""

import json
import shutil
from dataclasses import replace

import numpy as np
import orjson
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from schemas.control import Model
from schemas.judgements import Canary
from services.lab.benchmarks import matrix
from services.lab.simulation.catalogue import GradedCatalogue, ShopProduct, ShopQuery
from services.trainer.evaluation.assessment import CandidateEvaluator
from services.trainer.evaluation.codes import WHOLE
from services.trainer.evaluation.domain.card import card
from services.trainer.evaluation.domain.verdict import AdmissionTerms
from services.trainer.evaluation.evaluate import evaluate_on
from services.trainer.evaluation.hybrid import FIT_LEAST, HybridSearch
from services.trainer.evaluation.reranker import DEPTH, UNFITTED, RerankerEvaluation
from services.trainer.evaluation.sets import FARTHEST, EmbeddedCorpus, EvaluationSet, embed, evaluation_sets
from services.trainer.evaluation.settings import ShopSearch
from services.trainer.evaluation.words import Words
from services.trainer.learning.domain.recipe import Recipe
from shared.encoder.loading import load_encoder
from shared.encoder.parity import PROBES, RECORD, probes_of
from shared.encoder.passages import Cut
from shared.encoder.pipeline import DESCRIPTION
from shared.errors import ConfigurationError
from shared.settings import ModelSettings
from tests.unit.trainer.tiny import LOOKS, blind_model, knowing_model, tiny_dataset


def silent(*_: object) -> None:
    """Tell nobody."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    here = tmp_path_factory.mktemp("models")
    return blind_model(here / "blind"), knowing_model(here / "knowing")


DENSE = ShopSearch(mode="dense")
"""A shop whose pages are made by vectors alone, so that models show what they know."""


def evaluator(live, *, shop=DENSE, **terms):
    return CandidateEvaluator(
        live=live,
        model=ModelSettings(),
        progress=silent,
        terms=AdmissionTerms(**{"least": 5, **terms}),
        shop=shop,
    )


def embedded(cosines):
    """Return the vectors of products that have these cosines to the query `q`, in descending order."""
    documents = np.array([[cosine, (1 - cosine**2) ** 0.5] for cosine in cosines.values()], np.float32)
    return EmbeddedCorpus(list(cosines), documents, {"q": np.array([1, 0], np.float32)})


def all_shown(data):
    """Return the data set in which every product was shown and graded for every held-out query."""
    held_out = data.of("novel_query")
    graded = {(it.query, it.product_id) for it in held_out}
    queries = sorted({query for query, _ in graded})
    others = [
        held_out[0].model_copy(
            update={"query": query, "product_id": it.product_id, "value": 0.0, "grade": 0.0}
        )
        for query in queries
        for it in data.products
        if (query, it.product_id) not in graded
    ]
    return replace(data, pairs=(*data.pairs, *others))


def test_a_model_that_is_better_on_what_was_all_shown_is_admitted_and_its_card_says_why(models):
    blind, knowing = models
    judged = evaluator(blind, margin=1.0).assess(all_shown(tiny_dataset()), knowing, Recipe())
    assert judged.verdict.answer == "admitted"
    whole = judged.evaluated.compared[0]
    assert (whole.evaluation_set, whole.measure, whole.code, whole.queries) == (
        "held_out",
        "condensed nDCG@10",
        "dense",
        8,
    )
    assert whole.low > 0
    assert whole.shown == (1, 1)
    pages = [it for it in judged.evaluated.compared if it.code == whole.code]
    heads = {it.measure: it for it in pages if it.name.endswith("held_out")}
    for measure in ("nDCG@10", "pessimistic nDCG@10", "optimistic nDCG@10"):
        assert heads[measure].difference == pytest.approx(whole.difference), "nothing is unknown"
    assert judged.evaluated.metrics()["condensed nDCG@10 held_out"] == whole.candidate
    assert judged.evaluated.metrics()["shown@10 held_out"] == 1
    assert judged.evaluated.dense_weight is None, "eight queries are too few to fit it"
    record = Model(
        model_id="m1",
        fingerprint=judged.evaluated.candidate,
        location=str(knowing),
        dimensions=28,
        verdict="admitted",
        reasons=judged.verdict.reasons,
        created_at="2026-11-01T00:00:00Z",
    )
    text = card(record, tiny_dataset().manifest, judged.evaluated.compared)
    assert text.startswith("# Model m1\n\nAdmitted: better by ")
    assert f"| condensed nDCG@10 held_out | dense | {whole.live:.4f} | {whole.candidate:.4f} |" in text


def test_a_model_that_shows_what_nobody_was_shown_is_undecided_and_the_card_says_how_much(models):
    blind, knowing = models
    judged = evaluator(blind, margin=1.0).assess(tiny_dataset(), knowing, Recipe())
    assert judged.verdict.answer == "undecided"
    whole = judged.evaluated.compared[0]
    assert whole.shown[0] < whole.shown[1] < 0.9
    assert f"{1 - whole.shown[1]:.0%} of its first pages nobody was ever shown" in judged.verdict.reasons[0]
    found = {(it.evaluation_set, it.measure, it.part) for it in judged.evaluated.compared}
    assert {("general", "nDCG@10", ""), ("novel_query", "condensed nDCG@10", "")} <= found
    assert all(it.shown == (1, 1) for it in judged.evaluated.compared if it.evaluation_set == "general")


def test_pages_of_words_and_vectors_decide_and_the_vectors_stand_beside_them(models):
    blind, knowing = models
    data = tiny_dataset()
    evaluated = evaluator(blind, shop=ShopSearch()).assess(data, knowing, Recipe()).evaluated
    of_set = [it for it in evaluated.compared if it.evaluation_set == "held_out" and not it.part]
    by_code = {code: [it for it in of_set if it.code == code] for code in ("hybrid", "28 fp32", "14 int8")}
    assert [it.code for it in of_set[:2]] == ["hybrid", "hybrid"], "the first is what a verdict is made of"
    assert {it.measure for it in by_code["hybrid"]} == {it.measure for it in by_code["28 fp32"]}
    assert [it.measure for it in by_code["14 int8"]] == ["nDCG@10"]
    pages, vectors = by_code["hybrid"][0], by_code["28 fp32"][0]
    assert pages.live > vectors.live, "the words find what the vectors of the live model do not know"
    assert pages.shown[0] > vectors.shown[0]
    assert evaluated.metrics()["condensed nDCG@10 held_out"] == pages.candidate
    assert evaluated.metrics()["condensed nDCG@10 held_out at 28 fp32"] == vectors.candidate
    assert (evaluated.live_weight, evaluated.dense_weight) == (0.5, None)


def test_a_candidate_that_fails_a_canary_which_the_live_model_passes_is_refused_and_it_is_named(models):
    blind, knowing = models
    lamps = Canary(canary_id="lamps", query="home lamp", product_ids=("lamp-red", "lamp-oak"), k=8)
    sampled = Canary(canary_id="gone", query="home lamp", product_ids=("lamp-of-another-sample",), k=8)
    shop = ShopSearch(mode="dense", canaries=(sampled, lamps))
    verdict = evaluator(knowing, shop=shop).assess(tiny_dataset(), blind, Recipe()).verdict
    assert verdict.answer == "refused"
    assert verdict.reasons[0] == (
        "fails canary lamps: “home lamp” finds 0 of its 2 products among the first 8, the live model 2; "
        "the live model stays"
    )
    other_way = evaluator(blind, shop=shop).assess(tiny_dataset(), knowing, Recipe()).verdict
    assert not [reason for reason in other_way.reasons if "canary" in reason]


def test_with_enough_validation_queries_weight_and_threshold_are_fitted(models):
    blind, knowing = models
    data = tiny_dataset()
    more = [
        it.model_copy(update={"query": f"{it.query} {number}"})
        for it in data.of("validation")
        for number in range(FIT_LEAST)
    ]
    data = type(data)(data.manifest, (*data.pairs, *more), data.negatives, data.products)
    evaluated = evaluator(blind).assess(data, knowing, Recipe()).evaluated
    assert 0 <= evaluated.dense_weight <= 1
    corpus = {product.product_id: product.text for product in data.products}
    both = embed(load_encoder(ModelSettings(path=knowing)), corpus, ["lamp for home"])
    lamp, chair = both.cosines("lamp for home", ["lamp-red", "chair-red"])
    assert chair < evaluated.threshold <= lamp, "it tells what is right from what is not"


class GivenScores:
    """A reranker whose score of a text is given, and that counts what it is asked."""

    def __init__(self, scores):
        self.scores, self.asked, self.prepared = scores, 0, []

    def prepare(self, texts):
        self.prepared = texts

    def score(self, query, texts):
        self.asked += len(texts)
        return [self.scores[text] for text in texts]


CORPUS = {"p1": "first", "p2": "second", "p3": "last"}
LAST = EvaluationSet("g", {"q": {"p1": 0, "p2": 0, "p3": 3}})
"""What is right is what the vectors rank last."""


def reranking(cosines, scores, *, corpus=CORPUS, shop=DENSE):
    """Return the evaluation of a reranker after a search by vectors alone."""
    words = Words({name: {} for name in cosines}, shop.text)
    search = HybridSearch(embedded(dict(sorted(cosines.items()))), words, shop, 1.0)
    return RerankerEvaluation(["q"], search, corpus=corpus, reranker=scores)


def test_the_weight_of_a_reranker_follows_who_is_right():
    vectors = {"p1": 1.0, "p2": 0.6, "p3": 0.0}
    right = GivenScores({"first": 0, "second": 1, "last": 2})
    evaluation = reranking(vectors, right)
    # At one half the scaled scores of the three are 0.5, 0.55 and 0.5: only below does the last come first.
    assert evaluation.fitted_weight(LAST) == 0.45
    assert next(evaluation.compared(LAST, weight=0.0)).candidate == 1.0
    assert {it.difference for it in evaluation.compared(LAST, weight=1.0)} == {0.0}
    assert right.asked == 3, "a pair is scored once"
    assert right.prepared == ["first", "last", "second"]


def test_a_reranker_that_agrees_with_the_vectors_changes_nothing():
    vectors = {"p1": 1.0, "p2": 0.6, "p3": 0.0}
    agreeing = GivenScores({"first": 2, "second": 1, "last": 0})
    evaluation = reranking(vectors, agreeing)
    assert {it.difference for it in evaluation.compared(LAST, weight=0.5)} == {0.0}
    assert evaluation.fitted_weight(LAST) == 0.5, "of equal ones the one half"


def test_a_reranker_orders_the_best_and_leaves_the_rest():
    cosines = {f"p{number:02}": 1 - number / 50 for number in range(DEPTH + 2)}
    right = EvaluationSet("g", {"q": {f"p{DEPTH:02}": 3, f"p{DEPTH + 1:02}": 0}})
    scores = GivenScores({name: float(name[1:]) for name in cosines})
    evaluation = reranking(cosines, scores, corpus={name: name for name in cosines})
    assert next(evaluation.compared(right, weight=0.0)).difference == 0.0, "it lies below the best"
    assert scores.asked == len(scores.prepared) == DEPTH


def test_a_reranker_orders_what_shoppers_see_with_what_was_learned_among_it():
    vectors = {"p1": 1.0, "p2": 0.6, "p3": 0.0}
    learned = EvaluationSet("g", {"q": {"p2": 0, "p3": 3}}, {"q": frozenset({"p1"})})
    scores = GivenScores({"first": 0, "second": 1, "last": 2})
    evaluation = reranking(vectors, scores)
    figures = {it.measure: it for it in evaluation.compared(learned, weight=0.0)}
    assert scores.asked == 3
    assert (figures["condensed nDCG@10"].live, figures["condensed nDCG@10"].candidate) == (
        pytest.approx(0.63, abs=0.01),
        1,
    )
    assert figures["condensed nDCG@10"].shown == (1, 1), "what was learned was shown"
    assert "pessimistic nDCG@10" not in figures, "of its first page we know only a part"


@pytest.mark.parametrize(("given", "fault"), [(0.5, "the same score"), (float("nan"), "not finite")])
def test_a_reranker_whose_scores_say_nothing_is_broken(given, fault):
    vectors = {"p1": 1.0, "p2": 0.6, "p3": 0.0}
    scores = GivenScores(dict.fromkeys(CORPUS.values(), given))
    evaluation = reranking(vectors, scores)
    list(evaluation.compared(LAST, weight=0.5))
    assert fault in evaluation.faults(0.5)[0]


def test_a_reranker_is_asked_the_canaries_too():
    canary = Canary(canary_id="first", query="q", product_ids=("p1",), k=1)
    scores = GivenScores({"first": 0, "second": 1, "last": 2})
    shop = ShopSearch(mode="dense", canaries=(canary,))
    evaluation = reranking({"p1": 1.0, "p2": 0.6, "p3": 0.0}, scores, shop=shop)
    assert evaluation.faults(1.0) == ()
    assert evaluation.faults(0.0)[0].startswith("fails canary first: “q” finds 0 of its 1 products")


def test_the_same_model_again_is_undecided(models):
    blind, _ = models
    verdict = evaluator(blind).assess(tiny_dataset(), blind, Recipe()).verdict
    assert verdict.answer == "undecided"
    assert verdict.reasons[0].startswith("perhaps better by 0.0% for 8 held-out queries")


def test_a_model_that_is_worse_on_all_that_was_shown_is_refused(models):
    blind, knowing = models
    verdict = evaluator(knowing, worse=0.0).assess(tiny_dataset(), blind, Recipe()).verdict
    assert verdict.answer == "refused"
    assert "on all that shoppers were shown" in verdict.reasons[0]


def test_a_model_whose_vectors_are_all_the_same_or_not_finite_is_broken(models, tmp_path):
    _, knowing = models
    same = altered_model(knowing, tmp_path / "same", torch.arange(28.0))
    verdict = evaluator(knowing).assess(tiny_dataset(), same, Recipe()).verdict
    assert verdict.reasons[0] == "broken: all products have nearly the same vector; the live model stays"
    damaged = altered_model(knowing, tmp_path / "damaged", float("nan"))
    assessment = evaluator(knowing).assess(tiny_dataset(), damaged, Recipe())
    assert assessment.verdict.answer == "refused"
    assert assessment.verdict.reasons[0].startswith("broken: ")
    assert "the model gave a vector that is zero or not" in assessment.verdict.reasons[0]


def altered_model(model, directory, value):
    """Return a copy of a model whose words are all alike."""
    shutil.copytree(model, directory)
    (file,) = directory.glob("*.safetensors")
    weights = load_file(file)
    words = next(name for name in weights if "word_embeddings" in name)
    save_file(weights | {words: torch.zeros_like(weights[words]) + value}, file, metadata={"format": "pt"})
    return directory


@pytest.mark.parametrize("kind", ["reranker", "late-interaction"])
def test_a_reranker_is_judged_by_how_it_orders_the_best_of_what_search_answers(models, kind):
    blind, _ = models
    evaluated = evaluator(blind).assess(tiny_dataset(), blind, Recipe(kind=kind)).evaluated
    assert evaluated.dense_weight == UNFITTED
    assert {(it.evaluation_set, it.code) for it in evaluated.compared} == {
        ("held_out", "best 20 ordered anew"),
        ("novel_query", "best 20 ordered anew"),
    }
    assert (evaluated.compared[0].measure, evaluated.compared[0].queries) == ("condensed nDCG@10", 8)


def test_what_was_learned_for_a_query_is_taken_out_of_its_ranking():
    data = tiny_dataset()
    pairs = [it.model_copy(update={"split": "in_domain"}) for it in data.pairs if it.split == "train"][::4]
    held = {(it.query, it.product_id) for it in pairs}
    rest = [it for it in data.pairs if (it.query, it.product_id) not in held]
    found = {
        it.name: it for it in evaluation_sets(type(data)(data.manifest, (*rest, *pairs), (), data.products))
    }
    in_domain = found["in_domain"]
    for query, excluded in in_domain.excluded.items():
        assert excluded
        assert not excluded & in_domain.grades[query].keys()
    assert not found["novel_query"].excluded


def test_what_was_judged_last_is_a_set_of_its_own():
    data = tiny_dataset()
    held_out = [it for it in data.pairs if it.split == "novel_query"]
    newest = held_out[0].query
    pairs = tuple(it.model_copy(update={"late": it.query == newest}) for it in data.pairs)
    found = {it.name: it for it in evaluation_sets(type(data)(data.manifest, pairs, (), data.products))}
    assert set(found) == {"held_out", "novel_query", "late"}
    assert set(found["late"].grades) == {newest}


def test_head_torso_and_tail_share_the_impressions():
    data = tiny_dataset()
    pairs = tuple(
        it.model_copy(update={"impressions": 900 if it.query == "cheap lamp" else 10, "category": "home"})
        for it in data.pairs
    )
    whole, alone = evaluation_sets(type(data)(data.manifest, pairs, (), data.products))
    assert whole.slices["head"] == {"cheap lamp"}
    assert (whole.grades, whole.slices) == (alone.grades, alone.slices), "there is one split"
    assert whole.slices["category home"] == {*whole.queries}
    assert {*whole.queries} == whole.slices["head"] | whole.slices["tail"] | whole.slices.get("torso", set())


def test_products_are_ranked_by_cosine_and_excluded_ones_left_out():
    vectors = embedded({"p3": 0.1, "p1": 0.9, "p4": -0.5, "p2": 0.5, "p5": -0.9})
    right = EvaluationSet("one", {"q": {"p4": 3}})
    assert vectors.ranked(right, WHOLE)["q"] == ["p1", "p2", "p3", "p4", "p5"]
    without = EvaluationSet("one", right.grades, {"q": frozenset({"p1", "p3"})})
    assert vectors.ranked(without, WHOLE, depth=2)["q"] == ["p2", "p4"]


def test_a_text_that_comes_twice_is_embedded_once(models):
    encoder = load_encoder(ModelSettings(path=models[1]))
    counted = CountingEncoder(encoder)
    corpus = {"b": "red lamp", "a": "red lamp", "c": "blue chair"}
    both = embed(counted, corpus, ["lamp", "chair", "lamp"])
    assert sorted(counted.documents) == ["blue chair", "red lamp"]
    assert list(both.queries) == ["lamp", "chair"]
    a, b, c = both.cosines("lamp", ["a", "b", "c"])
    assert a == b > c


def test_a_long_text_is_as_near_as_its_nearest_passage_as_in_an_index(models):
    encoder = load_encoder(ModelSettings(path=models[1]))
    shop = ShopSearch(mode="dense", cut=Cut(size=8, overlap=0, most=2))
    words = "good cheap for home good cheap for home"
    corpus = {"long": f"{words} red lamp", "short": "old kettle", "none": "", "third": f"{words} {words} red"}
    cut = embed(encoder, corpus, ["red lamp"], cut=shop.cut)
    assert dict(zip(cut.ids, cut.counts, strict=True)) == {"long": 2, "none": 0, "short": 1, "third": 2}
    near = dict(zip(cut.ids, cut.nearness("red lamp"), strict=True))
    assert near["long"] == pytest.approx(1, abs=1e-5)
    assert near["none"] == FARTHEST
    assert near["third"] < 0.1, "the third passage is one too many"
    whole = embed(encoder, corpus, ["red lamp"])
    assert whole.cosines("red lamp", ["long"])[0] < 0.9
    search = HybridSearch(cut, Words({name: {"title": "x"} for name in sorted(corpus)}, shop.text), shop, 1.0)
    assert search.page("red lamp") == ["long", "short", "third"], "what has no vector is not found by one"


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    depth=st.integers(1, 8),
    rng=st.randoms(use_true_random=False),
)
def test_of_products_with_passages_everything_is_by_the_nearest_one(counts, depth, rng):
    angles = [number / 10 for number in rng.sample(range(1, 31), sum(counts))]
    rows = np.array([[np.cos(angle), np.sin(angle)] for angle in angles], np.float32).reshape(-1, 2)
    ids, left = [f"p{number}" for number in range(len(counts))], iter(angles)
    best = {
        name: max((np.cos(next(left)) for _ in range(count)), default=FARTHEST)
        for name, count in zip(ids, counts, strict=True)
    }
    one = EmbeddedCorpus(ids, rows, {"q": np.array([1, 0], np.float32)}, np.array(counts))
    assert one.nearness("q").tolist() == pytest.approx([best[name] for name in ids], abs=1e-6)
    assert one.cosines("q", ids[::-1]) == pytest.approx([best[name] for name in ids[::-1]], abs=1e-6)
    with_a_vector = [name for name, count in zip(ids, counts, strict=True) if count]
    ordered = sorted(with_a_vector, key=lambda name: -best[name])
    if rows.size:
        asked = EvaluationSet("one", {"q": {}})
        assert one.nearest(asked, WHOLE, depth=depth)["q"] == ordered[:depth]


def test_a_candidate_that_evaluation_reads_otherwise_than_training_noted_is_refused(models, tmp_path):
    blind, knowing = models
    candidate = shutil.copytree(knowing, tmp_path / "candidate")
    note_training(candidate, load_encoder(ModelSettings(path=knowing)))
    assessed = evaluator(blind).assess(tiny_dataset(), candidate, Recipe())
    assert assessed.evaluated.probes
    assert assessed.verdict.answer == "undecided"
    description = json.loads((candidate / DESCRIPTION).read_bytes())
    prompts = {"query": "", "document": "cheap lamp "}
    (candidate / DESCRIPTION).write_text(json.dumps({**description, "prompts": prompts}))
    verdict = evaluator(blind).assess(tiny_dataset(), candidate, Recipe()).verdict
    assert verdict.answer == "refused"
    assert verdict.reasons[0].startswith("evaluation differs from training, cosine ")
    assert "of the document" in verdict.reasons[0]


def note_training(directory, encoder):
    """Write what a fit notes of a model that gives these vectors."""
    probes = [probe.model_dump(mode="json") for probe in probes_of(encoder)]
    (directory / RECORD).write_text(json.dumps({PROBES: probes}))


class CountingEncoder:
    """An encoder that remembers what it was given."""

    def __init__(self, encoder):
        self.threads, self.dimensions = encoder.threads, encoder.dimensions
        self.encode_queries, self._encoder, self.documents = encoder.encode_queries, encoder, []

    def encode_documents(self, texts):
        self.documents += texts
        return self._encoder.encode_documents(texts)


def test_nothing_is_embedded_of_an_empty_corpus(models):
    both = embed(load_encoder(ModelSettings(path=models[1])), {}, ["lamp"])
    assert both.documents.shape == (0, 28)


def test_the_command_compares_two_models_and_draws(models, tmp_path):
    shop = GradedCatalogue(
        tuple(ShopProduct(id=it.product_id, title=it.text) for it in tiny_dataset().products),
        (ShopQuery("q1", "cheap lamp"), ShopQuery("q2", "cheap boot")),
        {"q1": {"lamp-red": 3, "boot-red": 0}, "q2": {"boot-oak": 2}},
    )
    base, tuned = (ModelSettings(path=path) for path in models)
    found = matrix.evaluated(shop, tuned, base, shop=ShopSearch())
    rows = {row.name: row for row in matrix.rows(found, alone=False, costs=True)}
    assert rows["nDCG@10 at 28 fp32"].interval is not None
    assert rows["nDCG@10 at hybrid"].interval is not None
    assert rows["bytes at 5 binary rescored"].value == 5 / 8 + 56
    assert orjson.dumps([row.json() for row in rows.values()])
    matrix.plot(found, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")

    one = matrix.evaluated(shop, tuned, tuned, shop=ShopSearch())
    alone = {row.name: row for row in matrix.rows(one, alone=True, costs=False)}
    assert alone["nDCG@10 at 28 fp32"].value == rows["nDCG@10 at 28 fp32"].value
    assert alone["nDCG@10 at 28 fp32"].bound is None


def test_a_weight_that_is_fitted_on_the_grades_that_judge_does_not_flatter(models):
    blind, _ = models
    # To this model all kinds are alike, so that it takes the first id; the words say the other is right.
    grades = {
        f"{look} {kind}": {f"{kind}-{look}": 0, f"boot-{look}": 3}
        for kind in ("lamp", "rope", "clock")
        for look in LOOKS
    }
    model = ModelSettings(path=blind)
    evaluated = evaluate_on(
        EvaluationSet("grades", grades),
        tiny_dataset().products,
        live=model,
        candidate=model,
        shop=ShopSearch(),
    )
    assert evaluated.dense_weight == 1.0
    pages = [comparison for comparison in evaluated.compared if comparison.code == "hybrid"]
    assert {comparison.difference for comparison in pages} == {0.0}


def test_a_hostile_directory_is_refused_before_it_is_loaded(models, tmp_path):
    hostile = tmp_path / "hostile"
    shutil.copytree(models[0], hostile)
    (hostile / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": "evil.Tokenizer"}}')
    with pytest.raises(ConfigurationError, match="auto_map names code to run"):
        evaluator(models[0]).assess(tiny_dataset(), hostile, Recipe())
