"""What holds of every batch and every loss, whatever the data set and the recipe."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from services.trainer.dataset.domain.dataset import (
    Dataset,
    DatasetManifest,
    HardNegative,
    ProductText,
    TrainingPair,
)
from services.trainer.learning import losses
from services.trainer.learning.domain.batches import TrainingSet, epoch
from services.trainer.learning.domain.recipe import Recipe
from services.trainer.learning.precision import Precision, best

QUERIES = [f"q{number}" for number in range(5)]
PRODUCTS = [f"p{number}" for number in range(9)]


@st.composite
def datasets(draw):
    keys = st.tuples(st.sampled_from(QUERIES), st.sampled_from(PRODUCTS))
    chosen = draw(st.lists(keys, min_size=1, max_size=30, unique=True))
    pairs = [
        TrainingPair(
            query=query,
            product_id=product_id,
            value=draw(st.sampled_from([0.0, 0.5, 9.0])),
            grade=draw(st.sampled_from([0.0, 1.5, 3.0])),
            impressions=1,
            split=draw(st.sampled_from(["train", "train", "in_domain", "validation"])),
        )
        for query, product_id in chosen
    ]
    mined = draw(st.lists(keys, max_size=12, unique=True))
    negatives = [
        HardNegative(
            query=query,
            product_id=product_id,
            difficulty=draw(st.sampled_from(["random", "easy", "medium", "hard"])),
        )
        for query, product_id in mined
    ]
    products = [ProductText(product_id=name, text=f"text of {name}") for name in PRODUCTS[:8]]  # one has none
    return Dataset(
        DatasetManifest(name="d", ranges=(), generation="g1"), tuple(pairs), tuple(negatives), tuple(products)
    )


recipes = st.builds(
    Recipe,
    queries=st.integers(1, 4),
    products=st.integers(1, 5),
    negatives=st.integers(0, 3),
    epochs=st.integers(1, 4),
    seed=st.integers(0, 5),
    curriculum=st.booleans(),
    weighted=st.booleans(),
)


@settings(max_examples=60)
@given(datasets(), recipes, st.integers(0, 3))
def test_a_batch_is_a_table_in_which_everything_known_is_right(dataset, recipe, number):
    training_set = TrainingSet.of(dataset, recipe)
    batches = list(epoch(training_set, recipe, number))
    assert len(batches) == training_set.steps(recipe)
    held_out = {(pair.query, pair.product_id) for pair in dataset.pairs if pair.split != "train"}
    judged = {(pair.query, pair.product_id) for pair in dataset.pairs if pair.split == "train"}
    for batch in batches:
        shape = len(batch.queries), len(batch.product_ids)
        assert batch.weights.shape == batch.blocked.shape == batch.known.shape == shape
        assert list(batch.queries) == sorted(set(batch.queries))
        assert list(batch.product_ids) == sorted(set(batch.product_ids))
        assert batch.texts == tuple(f"text of {name}" for name in batch.product_ids)
        for row, query in enumerate(batch.queries):
            for column, product_id in enumerate(batch.product_ids):
                key = query, product_id
                assert batch.blocked[row, column] == (key in held_out)
                if batch.weights[row, column] > 0:
                    assert key in judged
                    assert batch.known[row, column]
                    assert batch.weights[row, column] <= recipe.weight_limit


@settings(max_examples=60)
@given(datasets(), recipes)
def test_every_judged_pair_of_a_query_with_something_right_comes_in_every_epoch(dataset, recipe):
    training_set = TrainingSet.of(dataset, recipe)
    wanted = {(query, name) for query, row in training_set.weights.items() for name in row}
    for number in range(recipe.epochs):
        seen = {
            (query, name)
            for batch in epoch(training_set, recipe, number)
            for row, query in enumerate(batch.queries)
            for column, name in enumerate(batch.product_ids)
            if batch.known[row, column]
        }
        assert wanted <= seen


tables = st.integers(0, 2**32 - 1).map(
    lambda seed: (
        torch.from_numpy(np.random.default_rng(seed).normal(size=(3, 5)).astype(np.float32)),
        torch.from_numpy(np.random.default_rng([seed, 1]).choice([0.0, 0.5, 2.0], (3, 5)).astype(np.float32)),
        torch.from_numpy(np.random.default_rng([seed, 2]).random((3, 5)) < 0.2),
    )
)


@given(tables, st.sampled_from([0.0, 0.5, 1.0]))
def test_a_loss_is_finite_never_below_zero_and_does_not_see_a_shift(table, contrast):
    scores, weights, blocked = table
    loss = losses.contrastive(scores, weights, blocked, contrast=contrast)
    shifted = losses.contrastive(scores + 3.0, weights, blocked, contrast=contrast)
    assert torch.isfinite(loss)
    assert loss >= (0 if (weights > 0).any() else loss)
    if (weights > 0).any():
        torch.testing.assert_close(loss, shifted, atol=1e-4, rtol=1e-4)


@given(tables)
def test_twice_the_weights_are_the_same_loss(table):
    scores, weights, blocked = table
    one, other = (losses.both_ways(scores, weights * by, blocked, contrast=0.5) for by in (1.0, 2.0))
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@given(tables)
def test_what_blocks_more_lowers_the_loss(table):
    scores, weights, blocked = table
    everything = torch.ones_like(blocked)
    loss = losses.contrastive(scores, weights, blocked, contrast=0.5)
    assert losses.contrastive(scores, weights, everything, contrast=0.5) <= loss + 1e-6


def test_kept_texts_lose_nothing_when_they_only_turn_and_something_when_they_move():
    before = torch.eye(3)
    turned = before[:, [1, 2, 0]]
    moved = torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0]])
    assert losses.kept(turned, before) == 0
    assert losses.kept(moved, before) == pytest.approx(2 / 9)


def test_the_precision_is_that_of_a_device_that_is_there():
    precision = best()
    assert precision.device in {"cpu", "cuda"}
    with Precision().autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with Precision("cpu", half=True).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
