"""Whether a candidate may take the live model's place, and why."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import ConfigDict, Field

from schemas.base import Score, Value
from services.trainer.evaluation.domain.statistics import PairedDifference

MEASURE = "nDCG@10"
HELD_OUT = "held_out"
"""The evaluation set of all pairs that were not learned from, of whichever split."""


class MetricComparison(Value):
    """One figure of both models, on the same queries; `part` is a slice of them, empty for all.

    `low` and `high` bound candidate - live at 95 %.
    """

    evaluation_set: str
    measure: str
    code: str
    """Dimensions and precision of the vectors."""
    part: str = ""
    live: Score
    candidate: Score
    low: Score
    high: Score
    queries: int

    @classmethod
    def of(
        cls, evaluation_set: str, measure: str, code: str, *, difference: PairedDifference, part: str = ""
    ) -> "MetricComparison":
        """Return the record of a difference."""
        return cls(
            evaluation_set=evaluation_set,
            measure=measure,
            code=code,
            part=part,
            live=difference.live,
            candidate=difference.candidate,
            low=difference.low,
            high=difference.high,
            queries=difference.count,
        )

    @property
    def difference(self) -> float:
        """Candidate minus live."""
        return self.candidate - self.live

    @property
    def name(self) -> str:
        """Measure, evaluation set and slice, as a figure is called."""
        return " ".join(word for word in (self.measure, self.evaluation_set, self.part) if word)

    def words(self) -> str:
        """Return it as a phrase."""
        return (
            f"{self.measure} on {self.evaluation_set}: {self.live:.4f} -> {self.candidate:.4f} "
            f"({self.difference:+.4f}, 95 % {self.low:+.4f} to {self.high:+.4f}, {self.queries} queries)"
        )


class AdmissionTerms(Value):
    """On what terms a candidate is admitted.

    The set that decides is everything that is held out, as one: a shop's judgements are noisy, and of the
    splits alone each has too few queries or too few products a query to show what a fit does. On each
    split, and on general texts, it must do no harm: the difference itself is held against the margin,
    since so few queries prove no equality.
    """

    model_config = ConfigDict(extra="forbid")

    evaluation_set: str = HELD_OUT
    """The one that decides."""
    margin: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Of nDCG@10: so much less on another set is too much."""
    least: Annotated[int, Field(ge=1)] = 20
    """Queries without which a set says nothing."""


class CandidateVerdict(Value):
    """Admitted or refused, in words."""

    admitted: bool
    reasons: tuple[str, ...]


def decide(comparisons: Sequence[MetricComparison], terms: AdmissionTerms) -> CandidateVerdict:
    """Admit what is better on the set that decides, the interval above zero, and not much worse elsewhere.

    Only whole sets and whole vectors decide; slices, sizes and precisions are for people to read.
    """
    heads = _heads(comparisons)
    deciding = heads.pop(terms.evaluation_set, None)
    reasons, admitted = [_deciding_reason(deciding, terms)], _is_better(deciding, terms)
    for comparison in heads.values():
        if comparison.queries < terms.least:
            reasons.append(f"too few queries to say anything: {comparison.words()}")
        elif comparison.difference < -terms.margin:
            reasons.append(f"worse by more than {terms.margin:g}: {comparison.words()}")
            admitted = False
        else:
            reasons.append(f"not worse by more than {terms.margin:g}: {comparison.words()}")
    return CandidateVerdict(admitted=admitted, reasons=tuple(reasons))


def _heads(comparisons: Sequence[MetricComparison]) -> dict[str, MetricComparison]:
    """Return, by evaluation set, the first comparison of the whole of it, by the measure that decides."""
    heads: dict[str, MetricComparison] = {}
    for comparison in comparisons:
        if comparison.measure == MEASURE and not comparison.part:
            heads.setdefault(comparison.evaluation_set, comparison)
    return heads


def _is_better(deciding: MetricComparison | None, terms: AdmissionTerms) -> bool:
    return deciding is not None and deciding.queries >= terms.least and deciding.low > 0


def _deciding_reason(deciding: MetricComparison | None, terms: AdmissionTerms) -> str:
    if deciding is None:
        return f"nothing was judged on {terms.evaluation_set}, which decides"
    if deciding.queries < terms.least:
        return f"too few queries to decide by, {terms.least} are wanted: {deciding.words()}"
    if deciding.low > 0:
        return f"better: {deciding.words()}"
    return f"not better beyond doubt: {deciding.words()}"
