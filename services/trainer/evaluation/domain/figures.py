"""Figures of a candidate beside those of the live model, and what they are called."""

from schemas.base import Score, Value
from services.trainer.evaluation.domain.statistics import PairedDifference

MEASURE = "nDCG@10"
PESSIMISTIC, OPTIMISTIC = "pessimistic nDCG@10", "optimistic nDCG@10"
"""Of both first pages, when all that nobody graded is as bad, or as good, for the candidate as it can be."""
HELD_OUT = "held_out"
"""The evaluation set of all pairs that were not learned from, of whichever split."""
GENERAL = "general"
"""Everyday questions, of which every grade is known: what a fit must not forget."""

Shares = tuple[Score, Score]
"""Of the first pages of the live model and of the candidate, what has ever been shown (or graded)."""


class MetricComparison(Value):
    """One figure of both models, on the same queries; `part` is a slice of them, empty for all.

    `low` and `high` bound candidate - live at 95 %.
    """

    evaluation_set: str
    measure: str
    code: str
    """How the answers came about: as search does it (`hybrid`, `dense`), or by vectors of these dimensions in
    this precision."""
    part: str = ""
    live: Score
    candidate: Score
    low: Score
    high: Score
    queries: int
    shown: Shares = (1.0, 1.0)

    @classmethod
    def of(  # noqa: PLR0913 - a figure is named by these, and called by name
        cls,
        evaluation_set: str,
        measure: str,
        code: str,
        *,
        difference: PairedDifference,
        part: str = "",
        shown: Shares = (1.0, 1.0),
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
            shown=shown,
        )

    @property
    def difference(self) -> float:
        """Candidate minus live."""
        return self.candidate - self.live

    @property
    def effect(self) -> float:
        """The difference as a share of the live model's figure; 0 where that is 0."""
        return self.difference / self.live if self.live else 0.0

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
