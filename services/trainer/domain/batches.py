"""What is learned in which step: batches of queries and products, with what each pair is worth.

A batch is a table: its queries down, its products across. Everything that is known of a pair is in it,
whoever brought the product into the batch: in-batch negatives that are right for the query never are
negatives. Pairs that are kept for evaluation are neither: they are blocked.

The plan of an epoch is a function of data set, recipe and number of the epoch, so that a run that was killed
goes on with the same batches.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.trainer.domain.dataset import Dataset, Product
from services.trainer.domain.recipe import Recipe

EASE = {"easy": 0, "medium": 1, "hard": 2}


@dataclass(frozen=True, slots=True)
class Batch:
    """`worth[query, product]` is 0 where a product is not right; `blocked` pairs say nothing.

    `known` pairs were judged or mined for this very query, so nobody need guess what they are.
    """

    queries: tuple[str, ...]
    product_ids: tuple[str, ...]
    texts: tuple[str, ...]
    worth: NDArray[np.float32]
    blocked: NDArray[np.bool_]
    known: NDArray[np.bool_]
    general: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lessons:
    """The training split, by query: what its products are worth, its negatives, what is kept out."""

    worth: Mapping[str, Mapping[str, float]]
    negatives: Mapping[str, Sequence[tuple[int, str]]]
    """Ease (0 easy, 2 hard) and product."""
    reserved: Mapping[str, frozenset[str]]
    products: Mapping[str, Product]
    general: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, recipe: Recipe, general: Sequence[str] = ()) -> "Lessons":
        """Read the data set; a pair whose product has no text is left out."""
        products = {product.product_id: product for product in dataset.products}
        worth: dict[str, dict[str, float]] = defaultdict(dict)
        reserved: dict[str, set[str]] = defaultdict(set)
        for pair in dataset.pairs:
            if pair.split != "train":
                reserved[pair.query].add(pair.product_id)
            elif pair.product_id in products:
                worth[pair.query][pair.product_id] = _worth(pair.value, pair.grade, recipe)
        taught = {query: row for query, row in sorted(worth.items()) if any(row.values())}
        negatives: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for it in dataset.negatives:
            right = taught.get(it.query, {}).get(it.product_id)
            if it.product_id in products and not right and it.product_id not in reserved[it.query]:
                negatives[it.query].append((EASE[it.difficulty], it.product_id))
        kept = {query: frozenset(found) for query, found in reserved.items()}
        return cls(taught, negatives, kept, products, tuple(general))

    def steps(self, recipe: Recipe) -> int:
        """Return the number of batches in an epoch."""
        return -(-sum(-(-len(row) // recipe.products) for row in self.worth.values()) // recipe.queries)


def epoch(lessons: Lessons, recipe: Recipe, number: int) -> Iterator[Batch]:
    """Yield the batches of one epoch (from 0): each judged pair once, in a new order."""
    rng = np.random.default_rng([recipe.seed, number])
    portions: list[tuple[str, list[str]]] = []
    for query, row in lessons.worth.items():
        ids = [str(it) for it in rng.permutation(sorted(row))]
        portions += [
            (query, ids[start : start + recipe.products]) for start in range(0, len(ids), recipe.products)
        ]
    order = rng.permutation(len(portions))
    for start in range(0, len(order), recipe.queries):
        chosen = [portions[place] for place in order[start : start + recipe.queries]]
        yield _batch(lessons, recipe, number, chosen=chosen, rng=rng)


def _batch(
    lessons: Lessons,
    recipe: Recipe,
    number: int,
    *,
    chosen: Sequence[tuple[str, list[str]]],
    rng: np.random.Generator,
) -> Batch:
    queries = sorted({query for query, _ in chosen})
    mined = {query: _mined(lessons, recipe, number, query=query, rng=rng) for query in queries}
    ids = sorted({it for _, row in chosen for it in row} | {it for row in mined.values() for it in row})
    texts = tuple(_text(lessons.products[it], recipe, rng) for it in ids)
    worth = np.array([[lessons.worth[query].get(it, 0.0) for it in ids] for query in queries], np.float32)
    kept = [lessons.reserved.get(query, frozenset()) for query in queries]
    blocked = np.array([[it in reserved for it in ids] for reserved in kept], bool)
    known = np.array([[it in lessons.worth[query] or it in mined[query] for it in ids] for query in queries])
    general = _general(lessons, recipe, rng)
    return Batch(tuple(queries), tuple(ids), texts, worth, blocked, known, general)


def _mined(
    lessons: Lessons, recipe: Recipe, number: int, *, query: str, rng: np.random.Generator
) -> list[str]:
    """Return some of the query's mined negatives: those that the curriculum allows in this epoch."""
    graded = recipe.curriculum and recipe.epochs > 1
    hardest = round(2 * number / (recipe.epochs - 1)) if graded else 2
    found = lessons.negatives.get(query, ())
    allowed = [it for ease, it in found if ease <= hardest] or [it for _, it in sorted(found)[:1]]
    if not recipe.negatives or not allowed:
        return []
    drawn = rng.choice(len(allowed), size=min(recipe.negatives, len(allowed)), replace=False)
    return sorted({allowed[place] for place in drawn})


def _text(product: Product, recipe: Recipe, rng: np.random.Generator) -> str:
    views = [text for name in recipe.views if (text := product.fields.get(name, "").strip())]
    if views and rng.random() < recipe.view_share:
        return views[int(rng.integers(len(views)))]
    return product.text


def _general(lessons: Lessons, recipe: Recipe, rng: np.random.Generator) -> tuple[str, ...]:
    if not recipe.keep or not lessons.general:
        return ()
    size = min(recipe.general_texts, len(lessons.general))
    drawn = rng.choice(len(lessons.general), size=size, replace=False)
    return tuple(lessons.general[place] for place in sorted(drawn))


def _worth(value: float, grade: float, recipe: Recipe) -> float:
    if grade < recipe.positive_grade:
        return 0.0
    return min(max(value, 1e-6), recipe.weight_limit) if recipe.weighted else 1.0
