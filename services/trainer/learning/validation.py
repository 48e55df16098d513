"""How good a model is after an epoch: nDCG@10 on the queries that are kept for it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from services.trainer.dataset.domain.dataset import Dataset
from services.trainer.learning.domain.recipe import Recipe
from services.trainer.learning.trainable import TrainableModel
from shared.retrieval import quality

MEASURE = "nDCG@10"


@dataclass(frozen=True, slots=True)
class Validation:
    """Queries with their grades, and the products among which they are asked.

    An encoder searches them all; a reranker, which costs a pass a pair, orders the judged ones.
    """

    grades: quality.Grades
    texts: Mapping[str, str]
    judged_only: bool

    @classmethod
    def of(cls, dataset: Dataset, recipe: Recipe) -> "Validation":
        """Take the validation split, its products, and others up to the recipe's number."""
        products = {product.product_id: product.text for product in dataset.products}
        grades: dict[str, dict[str, int]] = defaultdict(dict)
        for pair in dataset.of("validation"):
            if pair.product_id in products:
                grades[pair.query][pair.product_id] = quality.whole_grade(pair.grade)
        judged = sorted({product_id for row in grades.values() for product_id in row})
        others = sorted(products.keys() - set(judged))
        room = max(0, recipe.validation_products - len(judged)) if grades else 0
        drawn = np.random.default_rng(recipe.seed).permutation(len(others))[:room]
        chosen = sorted([*judged, *(others[place] for place in drawn)])
        texts = {product_id: products[product_id] for product_id in chosen}
        return cls(grades, texts, recipe.kind == "reranker")

    def figure(self, model: TrainableModel) -> float | None:
        """Return the mean nDCG@10; None when there is nothing to validate with."""
        if not self.grades:
            return None
        model.prepare(list(dict.fromkeys(self.texts.values())))
        ranked = {query: self._ranked(model, query) for query in self.grades}
        return quality.figures(self.grades, ranked, [MEASURE])[MEASURE].mean

    def _ranked(self, model: TrainableModel, query: str) -> list[str]:
        ids = sorted(self.grades[query]) if self.judged_only else list(self.texts)
        scores = model.score(query, [self.texts[product_id] for product_id in ids])
        order = sorted(range(len(ids)), key=lambda place: (-scores[place], ids[place]))
        return [ids[place] for place in order[: quality.DEPTH]]
