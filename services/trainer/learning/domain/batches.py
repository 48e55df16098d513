"""What is learned in which step: batches of queries and products, with the weight of each pair.

A batch is a table: its queries down, its products across. Everything that is known of a pair is in it,
whichever query brought the product into the batch: an in-batch product that is right for a query is never
its negative. Pairs that are kept for evaluation are neither right nor negative: they are blocked.

The plan of an epoch is a function of data set, recipe and number of the epoch, so that a run that was killed
goes on with the same batches.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.trainer.dataset.domain.dataset import Dataset, ProductText
from services.trainer.learning.domain.recipe import Recipe

EASE = {"random": 0, "easy": 1, "medium": 2, "hard": 3}
HARDEST = max(EASE.values())


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """`weights[query, product]` is 0 where a product is not right; `blocked` pairs say nothing.

    `known` pairs were judged or mined for this very query, so nobody need guess what they are.
    """

    queries: tuple[str, ...]
    product_ids: tuple[str, ...]
    texts: tuple[str, ...]
    weights: NDArray[np.float32]
    blocked: NDArray[np.bool_]
    known: NDArray[np.bool_]
    general: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingSet:
    """The training split, by query: the weights of its products, its negatives, what is kept out."""

    weights: Mapping[str, Mapping[str, float]]
    negatives: Mapping[str, Sequence[tuple[int, str]]]
    """How hard it is (`EASE`), and the product."""
    reserved: Mapping[str, frozenset[str]]
    products: Mapping[str, ProductText]
    general: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, recipe: Recipe, general: Sequence[str] = ()) -> "TrainingSet":
        """Read the data set; a pair whose product has no text is left out."""
        products = {product.product_id: product for product in dataset.products}
        weights: dict[str, dict[str, float]] = defaultdict(dict)
        reserved: dict[str, set[str]] = defaultdict(set)
        for pair in dataset.pairs:
            if pair.split != "train":
                reserved[pair.query].add(pair.product_id)
            elif pair.product_id in products:
                weights[pair.query][pair.product_id] = _weight(pair.value, pair.grade, recipe)
        taught = {query: row for query, row in sorted(weights.items()) if any(row.values())}
        negatives: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for negative in dataset.negatives:
            query, product_id = negative.query, negative.product_id
            is_right = taught.get(query, {}).get(product_id)
            if product_id in products and not is_right and product_id not in reserved[query]:
                negatives[query].append((EASE[negative.difficulty], product_id))
        kept = {query: frozenset(product_ids) for query, product_ids in reserved.items()}
        return cls(taught, negatives, kept, products, tuple(general))

    @cached_property
    def easiest(self) -> int:
        """Return where the curriculum begins: a data set of before has no random negatives."""
        return min((ease for row in self.negatives.values() for ease, _ in row), default=HARDEST)

    def steps(self, recipe: Recipe) -> int:
        """Return the number of batches in an epoch."""
        return -(-sum(-(-len(row) // recipe.products) for row in self.weights.values()) // recipe.queries)


def epoch(training_set: TrainingSet, recipe: Recipe, number: int) -> Iterator[TrainingBatch]:
    """Yield the batches of one epoch (from 0): each judged pair once, in a new order."""
    rng = np.random.default_rng([recipe.seed, number])
    portions: list[tuple[str, list[str]]] = []
    for query, row in training_set.weights.items():
        ids = [str(product_id) for product_id in rng.permutation(sorted(row))]
        portions += [
            (query, ids[start : start + recipe.products]) for start in range(0, len(ids), recipe.products)
        ]
    order = rng.permutation(len(portions))
    for start in range(0, len(order), recipe.queries):
        chosen = [portions[place] for place in order[start : start + recipe.queries]]
        yield _batch(training_set, recipe, number, chosen=chosen, rng=rng)


def _batch(
    training_set: TrainingSet,
    recipe: Recipe,
    number: int,
    *,
    chosen: Sequence[tuple[str, list[str]]],
    rng: np.random.Generator,
) -> TrainingBatch:
    queries = sorted({query for query, _ in chosen})
    mined = {query: _mined(training_set, recipe, number, query=query, rng=rng) for query in queries}
    judged = {product_id for _, row in chosen for product_id in row}
    ids = sorted(judged.union(*mined.values()))
    texts = tuple(_text(training_set.products[product_id], recipe, rng) for product_id in ids)
    rows = [training_set.weights[query] for query in queries]
    weights = np.array([[row.get(product_id, 0.0) for product_id in ids] for row in rows], np.float32)
    kept = [training_set.reserved.get(query, frozenset()) for query in queries]
    blocked = np.array([[product_id in reserved for product_id in ids] for reserved in kept], bool)
    sure = [training_set.weights[query].keys() | mined[query] for query in queries]
    known = np.array([[product_id in row for product_id in ids] for row in sure], bool)
    general = _general(training_set, recipe, rng)
    return TrainingBatch(tuple(queries), tuple(ids), texts, weights, blocked, known, general)


def _mined(
    training_set: TrainingSet, recipe: Recipe, number: int, *, query: str, rng: np.random.Generator
) -> list[str]:
    """Return some of the query's negatives: those that the curriculum allows in this epoch."""
    hardest = HARDEST
    if recipe.curriculum and recipe.epochs > 1:
        easiest = training_set.easiest
        hardest = easiest + round((HARDEST - easiest) * number / (recipe.epochs - 1))
    mined = training_set.negatives.get(query, ())
    allowed = [product_id for ease, product_id in mined if ease <= hardest]
    allowed = allowed or [
        product_id for _, product_id in sorted(mined)[:1]
    ]  # the easiest, when all are too hard
    if not recipe.negatives or not allowed:
        return []
    drawn = rng.choice(len(allowed), size=min(recipe.negatives, len(allowed)), replace=False)
    return sorted({allowed[place] for place in drawn})


def _text(product: ProductText, recipe: Recipe, rng: np.random.Generator) -> str:
    views = [text for name in recipe.views if (text := product.fields.get(name, "").strip())]
    if views and rng.random() < recipe.view_share:
        return views[int(rng.integers(len(views)))]
    return product.text


def _general(training_set: TrainingSet, recipe: Recipe, rng: np.random.Generator) -> tuple[str, ...]:
    if not recipe.keep or not training_set.general:
        return ()
    size = min(recipe.general_texts, len(training_set.general))
    drawn = rng.choice(len(training_set.general), size=size, replace=False)
    return tuple(training_set.general[place] for place in sorted(drawn))


def _weight(value: float, grade: float, recipe: Recipe) -> float:
    if grade < recipe.positive_grade:
        return 0.0
    return min(max(value, 1e-6), recipe.weight_limit) if recipe.weighted else 1.0
