"""The whole assessment of a candidate: figures, and the verdict that follows from them."""

from dataclasses import dataclass, field
from pathlib import Path

from schemas.base import Value
from services.trainer.dataset.domain.dataset import Dataset
from services.trainer.dataset.domain.leakage import leaks
from services.trainer.evaluation.domain.opinion import decide_with
from services.trainer.evaluation.domain.verdict import AdmissionTerms, CandidateVerdict
from services.trainer.evaluation.evaluate import (
    Evaluated,
    asked_queries,
    embedded_texts,
    evaluate,
    words_of,
)
from services.trainer.evaluation.hybrid import FIT_LEAST, HybridSearch
from services.trainer.evaluation.reranker import UNFITTED, RerankerEvaluation
from services.trainer.evaluation.sets import embed, evaluation_sets, validation_set
from services.trainer.evaluation.settings import ShopSearch
from services.trainer.learning.domain.recipe import Recipe
from services.trainer.learning.train import load_trainable
from services.trainer.progress import Progress
from shared.encoder.description import describe_pairs
from shared.encoder.loading import load_encoder
from shared.encoder.parity import difference, recorded_precision, training_probes
from shared.settings import ModelSettings


class CandidateAssessment(Value):
    """What is known of a candidate, and what follows."""

    evaluated: Evaluated
    verdict: CandidateVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateEvaluator:
    """Compares candidates with a live embedding model, on terms, as the shop's search would serve them.

    `model` says how models are loaded.
    """

    live: Path
    model: ModelSettings
    progress: Progress
    terms: AdmissionTerms = field(default_factory=AdmissionTerms)
    shop: ShopSearch = field(default_factory=ShopSearch)

    def assess(self, dataset: Dataset, candidate: Path, recipe: Recipe) -> CandidateAssessment:
        """Return figures and verdict (blocking; minutes).

        A reranker or late-interaction model is judged by how it orders the best products of the live search,
        beside their own order, with a weight that is fitted on the validation queries; what nobody graded
        is not estimated for it.
        Raises `ConfigurationError` when a directory is refused.
        """
        if recipe.kind == "encoder":
            models = (self._loaded_from(path) for path in (self.live, candidate))
            evaluated = evaluate(dataset, *models, shop=self.shop, progress=self.progress)
        else:
            evaluated = self._evaluate_reranker(dataset, candidate, recipe)
        faults = [f"leaks: {leak}" for leak in leaks(dataset.manifest.certificate)]
        faults = [*evaluated.faults, *faults, *self._strays(candidate, evaluated)]
        verdict = decide_with(evaluated.missing, evaluated.compared, self.terms, faults=faults)
        return CandidateAssessment(evaluated=evaluated, verdict=verdict)

    def _strays(self, candidate: Path, evaluated: Evaluated) -> list[str]:
        """Return that evaluation gave other vectors than training noted, if it did."""
        precision = recorded_precision(self.model)
        words = difference(training_probes(candidate), evaluated.probes, precision=precision)
        return [f"evaluation differs from training, {words}"] if words else []

    def _loaded_from(self, path: Path) -> ModelSettings:
        return self.model.model_copy(update={"path": path})

    def _evaluate_reranker(self, dataset: Dataset, candidate: Path, recipe: Recipe) -> Evaluated:
        corpus = embedded_texts(dataset.products)
        sets, fit_set = list(evaluation_sets(dataset)), validation_set(dataset)
        encoder = load_encoder(self._loaded_from(self.live))
        self.progress("evaluation", 0.0, {})
        embedded = embed(encoder, corpus, asked_queries([*sets, fit_set], self.shop), cut=self.shop.cut)
        self.progress("evaluation", 0.5, {})
        words = words_of(dataset.products, self.shop)
        search = HybridSearch(embedded, words, self.shop, self.shop.live_weight)
        fit_sets = [fit_set] if len(fit_set.grades) >= FIT_LEAST else []
        evaluation = RerankerEvaluation(
            asked_queries([*sets, *fit_sets], self.shop),
            search,
            corpus=corpus,
            reranker=load_trainable(candidate, recipe),
        )
        weight = evaluation.fitted_weight(fit_set) if fit_sets else UNFITTED
        compared = tuple(
            comparison
            for evaluation_set in sets
            for comparison in evaluation.compared(evaluation_set, weight=weight)
        )
        return Evaluated(
            live=encoder.fingerprint,
            candidate=describe_pairs(candidate, self.model).fingerprint,
            dimensions=encoder.dimensions,
            products=len(corpus),
            compared=compared,
            live_weight=search.weight,
            dense_weight=weight,
            faults=evaluation.faults(weight),
        )
