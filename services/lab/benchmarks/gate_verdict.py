"""The gate's answer on vectors that are at hand: what the trainer decides by, without embedding them anew."""

from collections.abc import Iterator

from schemas.base import Value
from schemas.search_api import Fusion
from services.lab.benchmarks.gate_candidates import Embedded
from services.trainer.dataset.domain.dataset import Dataset
from services.trainer.evaluation.codes import WHOLE
from services.trainer.evaluation.comparison import AnswerComparison
from services.trainer.evaluation.domain.figures import MetricComparison
from services.trainer.evaluation.domain.verdict import AdmissionTerms, Answer, decide
from services.trainer.evaluation.evaluate import FIT_LEAST, ModelComparison, general
from services.trainer.evaluation.hybrid import Words, fitted_weight
from services.trainer.evaluation.sets import evaluation_sets, validation_set


class GateVerdict(Value):
    """Admitted, refused or undecided; why; and the weight of vectors that would be served with it."""

    answer: Answer
    reason: str
    weight: float
    sessions: int | None = None
    """Of an undecided one: as many of a trial as would probably decide."""


def judged(dataset: Dataset, live: Embedded, candidate: Embedded, *, words: Words) -> GateVerdict:
    """Return what the trainer would decide on this data set."""
    fit_set = validation_set(dataset)
    faults = ["broken: all products have nearly the same vector"] if candidate.shop.is_degenerate else []
    verdict = decide(list(_compared(dataset, live, candidate)), AdmissionTerms(), faults=faults)
    weight = Fusion().dense_weight
    if len(fit_set.grades) >= FIT_LEAST:
        weight = fitted_weight(candidate.shop, fit_set, words)
    return GateVerdict(
        answer=verdict.answer, reason=verdict.reasons[0], weight=weight, sessions=verdict.trial_sessions
    )


def _compared(dataset: Dataset, live: Embedded, candidate: Embedded) -> Iterator[MetricComparison]:
    """Yield what decides: the whole vectors' figures, since no other code of them has a say."""
    code = WHOLE.name(candidate.shop.documents.shape[1])
    for evaluation_set in evaluation_sets(dataset):
        before, after = (
            corpus.answers(evaluation_set, corpus.nearest(evaluation_set, WHOLE))
            for corpus in (live.shop, candidate.shop)
        )
        yield from AnswerComparison(evaluation_set, before, after, code=code).figures()
    everyday, _ = general()
    yield ModelComparison([everyday], live.general, candidate.general).compare(everyday, WHOLE)
