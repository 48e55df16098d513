"""The gate's answer on vectors that are at hand: what the trainer decides by, without embedding them anew."""

from schemas.base import Value
from services.lab.benchmarks.gate_candidates import Embedded
from services.trainer.dataset.domain.dataset import Dataset
from services.trainer.evaluation.comparison import ModelComparison, compare_vectors
from services.trainer.evaluation.domain.opinion import decide_with
from services.trainer.evaluation.domain.verdict import AdmissionTerms, Answer
from services.trainer.evaluation.general import general
from services.trainer.evaluation.hybrid import HybridPair
from services.trainer.evaluation.missing import missing_estimate
from services.trainer.evaluation.sets import evaluation_sets, validation_set
from services.trainer.evaluation.settings import ShopSearch
from services.trainer.evaluation.words import Words


class GateVerdict(Value):
    """Admitted, refused or undecided; why; and the weight of vectors that would be served with it."""

    answer: Answer
    reason: str
    weight: float
    sessions: int | None = None
    """Of an undecided one: as many of a trial as would probably decide."""


def judged(
    dataset: Dataset, live: Embedded, candidate: Embedded, *, words: Words, shop: ShopSearch
) -> GateVerdict:
    """Return what the trainer would decide on this data set."""
    comparison = compared(dataset, live, candidate, words=words, shop=shop)
    everyday, _ = general()
    figures = [*comparison.deciding(), compare_vectors(everyday, live.general, candidate.general)]
    missing = missing_estimate(dataset, comparison.search)
    verdict = decide_with(missing, figures, AdmissionTerms(), faults=comparison.faults)
    return GateVerdict(
        answer=verdict.answer,
        reason=verdict.reasons[0],
        weight=comparison.search.candidate.weight,
        sessions=verdict.trial_sessions,
    )


def compared(
    dataset: Dataset, live: Embedded, candidate: Embedded, *, words: Words, shop: ShopSearch
) -> ModelComparison:
    """Return the comparison that decides."""
    search = HybridPair.of(live.shop, candidate.shop, words, shop=shop, fit_set=validation_set(dataset))
    return ModelComparison(list(evaluation_sets(dataset)), search)
