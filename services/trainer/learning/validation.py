"""How good a model is after an epoch: condensed nDCG@10 on the queries that are kept for it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from services.trainer.dataset.domain.dataset import Dataset
from services.trainer.learning.trainable import TrainableModel
from shared.retrieval import quality


@dataclass(frozen=True, slots=True)
class Validation:
    """Queries with their grades, and the texts of the graded products.

    Only these are ordered: what was not graded says nothing for or against a model. Queries whose products
    are all graded alike tell nothing and are left out.
    """

    grades: quality.Grades
    texts: Mapping[str, str]

    @classmethod
    def of(cls, dataset: Dataset) -> "Validation":
        """Take the validation split."""
        products = {product.product_id: product.text for product in dataset.products}
        grades: dict[str, dict[str, int]] = defaultdict(dict)
        for pair in dataset.of("validation"):
            if pair.product_id in products:
                grades[pair.query][pair.product_id] = quality.whole_grade(pair.grade)
        telling = {query: row for query, row in grades.items() if len({*row.values()}) > 1}
        graded = sorted({product_id for row in telling.values() for product_id in row})
        return cls(telling, {product_id: products[product_id] for product_id in graded})

    def figure(self, model: TrainableModel) -> float | None:
        """Return the mean condensed nDCG@10; None when there is nothing to validate with."""
        if not self.grades:
            return None
        model.prepare(list(dict.fromkeys(self.texts.values())))
        ranked = {query: self._ranked(model, query) for query in self.grades}
        values = quality.fair_values(self.grades, ranked, [quality.CONDENSED])[quality.CONDENSED]
        return quality.figure(tuple(values.values())).mean

    def _ranked(self, model: TrainableModel, query: str) -> list[str]:
        ids = sorted(self.grades[query])
        scores = model.score(query, [self.texts[product_id] for product_id in ids])
        order = sorted(range(len(ids)), key=lambda place: (-scores[place], ids[place]))
        return [ids[place] for place in order]
