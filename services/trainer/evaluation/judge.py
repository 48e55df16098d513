"""The whole judgement of a candidate: figures, verdict, card."""

from dataclasses import dataclass, field
from pathlib import Path

from schemas.base import Value
from services.trainer.domain.dataset import Dataset
from services.trainer.domain.recipe import Recipe
from services.trainer.domain.verdict import Terms, Verdict, decide
from services.trainer.evaluation.evaluate import FIT_LEAST, Evaluated, Progress, evaluate
from services.trainer.evaluation.ground import embed, grounds, validation
from services.trainer.evaluation.last_stage import UNFITTED, LastStage
from services.trainer.learning.train import student
from shared.encoder import load
from shared.encoder.description import describe
from shared.settings import ModelSettings


class Judged(Value):
    """What is known of a candidate, and what follows."""

    evaluated: Evaluated
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Compares candidates with a live embedding model, on terms; `model` says how models are loaded."""

    live: Path
    model: ModelSettings
    progress: Progress
    terms: Terms = field(default_factory=Terms)

    def judge(self, dataset: Dataset, candidate: Path, recipe: Recipe) -> Judged:
        """Return figures and verdict (blocking; minutes).

        A reranker or late-interaction model is judged by how it orders the live model's best products,
        beside the vectors, with a weight that is fitted on the validation queries.
        Raises `ConfigurationError` when a directory is refused.
        """
        if recipe.kind == "encoder":
            found = evaluate(
                dataset, live=self.live, candidate=candidate, model=self.model, progress=self.progress
            )
        else:
            found = self._last_stage(dataset, candidate, recipe)
        return Judged(evaluated=found, verdict=decide(found.compared, self.terms))

    def _last_stage(self, dataset: Dataset, candidate: Path, recipe: Recipe) -> Evaluated:
        corpus = {product.product_id: product.text for product in dataset.products}
        asked, fit = list(grounds(dataset)), validation(dataset)
        encoder = load(self.model.model_copy(update={"path": self.live}))
        self.progress("evaluation", 0.0, {})
        embedded = embed(encoder, corpus, [query for ground in (*asked, fit) for query in ground.queries])
        self.progress("evaluation", 0.5, {})
        fitted = [fit] if len(fit.grades) >= FIT_LEAST else []
        stage = LastStage([*asked, *fitted], embedded, corpus=corpus, student=student(candidate, recipe))
        weight = stage.fitted_weight(fit) if fitted else UNFITTED
        return Evaluated(
            live=encoder.fingerprint,
            candidate=describe(candidate, self.model).fingerprint,
            dimensions=encoder.dimensions,
            products=len(corpus),
            compared=tuple(stage.compared(ground, weight=weight) for ground in asked),
            dense_weight=weight,
        )
