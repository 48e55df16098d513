from collections import Counter
from dataclasses import replace

import numpy as np

from services.trainer.dataset.domain.dataset import HardNegative
from services.trainer.learning.domain.batches import TrainingSet, epoch
from services.trainer.learning.domain.recipe import Recipe
from tests.unit.trainer.tiny import tiny_dataset

RECIPE = Recipe(queries=3, products=5, epochs=3)


def training_set(recipe=RECIPE):
    return TrainingSet.of(tiny_dataset(), recipe, ("one", "two", "three"))


def test_every_judged_pair_of_the_training_split_comes_once_in_an_epoch():
    taught = training_set(recipe := RECIPE.model_copy(update={"negatives": 0}))
    seen = Counter()
    batches = list(epoch(taught, recipe, 0))
    for batch in batches:
        for row, query in enumerate(batch.queries):
            seen.update(
                (query, it) for it, known in zip(batch.product_ids, batch.known[row], strict=True) if known
            )
    judged = {(pair.query, pair.product_id) for pair in tiny_dataset().of("train")}
    assert seen.keys() == judged  # a pair may be seen again, where another query brought its product
    assert len(batches) == taught.steps(recipe)


def test_an_epoch_is_the_same_again_and_another_is_not():
    first, again, other = (
        [(it.queries, it.product_ids) for it in epoch(training_set(), RECIPE, number)] for number in (1, 1, 2)
    )
    assert first == again != other


def test_a_pair_that_is_kept_for_evaluation_is_neither_right_nor_wrong():
    data = tiny_dataset()
    held = {"query": "lamp for home", "split": "in_domain"}
    kept = [it.model_copy(update=held) for it in data.pairs if it.query == "cheap kettle"]
    pairs = tuple(sorted([*data.pairs, *kept], key=lambda it: (it.query, it.product_id)))
    taught = TrainingSet.of(type(data)(data.manifest, pairs, (), data.products), RECIPE)
    ids = {it.product_id for it in kept}
    blocked = 0
    for batch in epoch(taught, RECIPE, 0):
        if "lamp for home" in batch.queries:
            row = batch.queries.index("lamp for home")
            for column, it in enumerate(batch.product_ids):
                if it in ids and not batch.known[row, column]:
                    assert batch.blocked[row, column]
                    assert batch.weights[row, column] == 0
                    blocked += 1
    assert blocked


def test_a_mined_negative_that_is_kept_for_evaluation_is_not_learned():
    data = tiny_dataset()
    mined = data.negatives[0]
    kept = data.pairs[0].model_copy(
        update={"query": mined.query, "product_id": mined.product_id, "split": "in_domain"}
    )
    taught = TrainingSet.of(
        type(data)(data.manifest, (*data.pairs, kept), data.negatives, data.products), RECIPE
    )
    assert mined.product_id not in {it for _, it in taught.negatives[mined.query]}
    assert mined.product_id in {it for _, it in training_set().negatives[mined.query]}


def test_a_product_that_is_right_for_a_query_is_so_whoever_brought_it():
    taught = training_set()
    for batch in epoch(taught, RECIPE, 0):
        for row, query in enumerate(batch.queries):
            expected = [taught.weights[query].get(it, 0.0) for it in batch.product_ids]
            np.testing.assert_allclose(batch.weights[row], expected)


def with_random(data):
    """Return the data set with a random negative for each query that has mined ones."""
    ids = [product.product_id for product in data.products]
    drawn = [
        HardNegative(query=query, product_id=ids[place], difficulty="random")
        for place, query in enumerate(sorted({it.query for it in data.negatives}))
    ]
    return replace(data, negatives=tuple(sorted([*data.negatives, *drawn], key=lambda it: it.query)))


def difficulties(data, recipe, number):
    """Return how hard the negatives are that come in an epoch."""
    kinds = {(it.query, it.product_id): it.difficulty for it in data.negatives}
    met = set()
    for batch in epoch(TrainingSet.of(data, recipe), recipe, number):
        for row, query in enumerate(batch.queries):
            known = zip(batch.product_ids, batch.known[row], batch.weights[row], strict=True)
            met |= {kinds.get((query, it)) for it, sure, weights in known if sure and not weights} - {None}
    return met


def test_negatives_grow_harder_from_epoch_to_epoch():
    data, recipe = with_random(tiny_dataset()), RECIPE.model_copy(update={"epochs": 4})
    allowed = {"random"}
    assert difficulties(data, recipe, 0) == allowed
    for number, harder in enumerate(("easy", "medium", "hard"), start=1):
        allowed |= {harder}
        assert difficulties(data, recipe, number) <= allowed
    assert difficulties(data, recipe, 3) == {"random", "easy", "medium", "hard"}
    assert difficulties(data, recipe.model_copy(update={"curriculum": False}), 0) == allowed


def test_without_random_negatives_the_curriculum_begins_with_the_easy_ones():
    data = tiny_dataset()
    for number, allowed in enumerate(({"easy"}, {"easy", "medium"}, {"easy", "medium", "hard"})):
        assert difficulties(data, RECIPE, number) <= allowed
    assert difficulties(data, RECIPE, 0) == {"easy"}
    assert difficulties(data, RECIPE, 2) == {"easy", "medium", "hard"}


def test_worth_is_bounded_and_flat_when_it_does_not_weigh():
    flat = training_set(Recipe(weighted=False))
    assert {it for row in flat.weights.values() for it in row.values()} == {0.0, 1.0}
    low = training_set(Recipe(weight_limit=0.5))
    assert {it for row in low.weights.values() for it in row.values()} == {0.0, 0.5}


def test_general_texts_come_only_when_they_are_kept():
    assert {it.general for it in epoch(training_set(), RECIPE, 0)} == {()}
    recipe = RECIPE.model_copy(update={"keep": 1.0, "general_texts": 2})
    assert all(len(set(it.general)) == 2 for it in epoch(training_set(), recipe, 0))


def test_a_view_stands_in_for_the_text():
    recipe = RECIPE.model_copy(update={"views": ("bullets",), "view_share": 1.0})
    texts = {text for batch in epoch(training_set(), recipe, 0) for text in batch.texts}
    assert texts
    assert all(text.startswith("good ") for text in texts)
