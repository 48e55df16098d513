"""What `headrace bench learn` teaches: the same log, read in three ways."""

import numpy as np
import pytest

from services.lab.benchmarks import training_ablation as ablation
from services.lab.benchmarks.training_ablation import Shoppers, Supervision
from services.lab.simulation import shop
from services.lab.simulation.catalogue import GradedCatalogue
from services.lab.simulation.traffic import Ranker
from services.lab.simulation.truth import spearman
from services.trainer.evaluation.sets import EmbeddedCorpus


@pytest.fixture(scope="module")
def catalogue() -> GradedCatalogue:
    whole = shop.sample()
    queries = whole.queries[:12]
    grades = {query.id: whole.grades[query.id] for query in queries}
    ids = {it for row in grades.values() for it in row}
    return GradedCatalogue(tuple(it for it in whole.products if it.id in ids), queries, grades)


@pytest.fixture(scope="module")
def shoppers(catalogue) -> Shoppers:
    return ablation.watch(catalogue, 600, seed=1, ranker=Ranker.blurred(catalogue, seed=1))


def test_shoppers_are_the_same_again(catalogue, shoppers):
    again = ablation.watch(catalogue, 600, seed=1, ranker=Ranker.blurred(catalogue, seed=1))
    assert ablation.corrected(again) == ablation.corrected(shoppers)


def test_each_reading_has_every_pair_and_knows_something_of_the_grades(catalogue, shoppers):
    readings = [read(shoppers) for read in (ablation.clicks, ablation.raw, ablation.corrected)]
    assert readings[0].keys() == readings[1].keys() == readings[2].keys()
    assert set(readings[0].values()) == {0.0, 1.0}
    texts = {query.text: query.id for query in catalogue.queries}
    grades = np.array(
        [catalogue.grade(texts[shoppers.texts[key.query]], key.product_id) for key in readings[0]], float
    )
    raw, corrected = (spearman(grades, np.array([*found.values()])) for found in readings[1:])
    assert min(raw, corrected) > 0.3


def test_queries_that_are_not_taught_and_pairs_that_are_held_out_are_not_learned(catalogue, shoppers):
    taught = frozenset(query.text for query in catalogue.queries[:6])
    data = ablation.dataset(catalogue, shoppers, Supervision(ablation.corrected(shoppers), {}), taught)
    assert {pair.query for pair in data.pairs} <= taught
    for pair in data.pairs:
        assert (pair.split == "in_domain") == ablation.is_held_out(pair.query, pair.product_id)
    share = len(data.of("in_domain")) / len(data.pairs)
    assert share == pytest.approx(1 / ablation.HELD_OUT, abs=0.1)


def test_what_was_clicked_is_no_negative_unless_shoppers_passed_it(catalogue, shoppers):
    rng = np.random.default_rng(0)
    ids = sorted(product.id for product in catalogue.products)
    graded = [[catalogue.grade(query.id, it) for query in catalogue.queries] for it in ids]
    rows = np.array(graded, np.float32) + rng.uniform(1, 2, (len(ids), len(catalogue.queries))).astype(
        np.float32
    )
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    asked = dict(zip((query.text for query in catalogue.queries), np.eye(12, dtype=np.float32), strict=True))
    found = ablation.negatives(shoppers, EmbeddedCorpus(ids, rows, asked), catalogue)
    clicked = {
        (shoppers.texts[key.query], key.product_id) for key, it in ablation.clicks(shoppers).items() if it
    }
    mined = {(it.query, it.product_id) for row in found.values() for it in row if not it.skipped}
    assert mined
    assert not mined & clicked
