"""Whether a model may compute in int8: by judgements where there are any, else by what it finds."""

from schemas.base import Score, Value
from services.trainer.evaluation.domain.statistics import PairedDifference

LEAST_EFFECT = -0.02
"""Of nDCG@10: the lower end of the interval of the relative difference must be above it."""
LEAST_OVERLAP = 0.9
"""Of the ten best by the whole model, the share that is found as well, in the mean."""
QUERIES_LEAST = 30
"""Judged queries; with fewer, what is found decides."""


class QuantizationVerdict(Value):
    """What int8 does to a model's answers, and whether that is admitted."""

    admitted: bool
    reason: str
    overlap: Score
    queries: int
    """Judged ones; 0: none, or too few."""
    effect: Score | None = None
    """Of nDCG@10, as a share of the whole model's; None: not judged."""
    low: Score | None = None
    """The lower end of its interval, 95 %."""


def decide(difference: PairedDifference | None, overlap: float) -> QuantizationVerdict:
    """Return the verdict; `difference` is that of nDCG@10 by query, int8 after fp32."""
    if difference is None or difference.count < QUERIES_LEAST or difference.live <= 0:
        bound = f"top ten overlap {overlap:.3f}, at least {LEAST_OVERLAP}"
        return QuantizationVerdict(
            admitted=overlap >= LEAST_OVERLAP, reason=bound, overlap=overlap, queries=0
        )
    effect = (difference.candidate - difference.live) / difference.live
    low = difference.low / difference.live
    return QuantizationVerdict(
        admitted=low > LEAST_EFFECT,
        reason=f"nDCG@10 {effect:+.1%}, surely above {low:+.1%} (bound {LEAST_EFFECT:.0%}), "
        f"{difference.count} queries; top ten overlap {overlap:.3f}",
        overlap=overlap,
        queries=difference.count,
        effect=effect,
        low=low,
    )
