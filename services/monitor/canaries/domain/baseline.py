"""What a canary used to reach: its own past, robust to a bad run, and never sliding down unseen."""

from statistics import median

from pydantic import BaseModel, ConfigDict

WINDOW = 9
"""Runs that the running median covers."""
SETTLE = 3
"""Runs before there is a reference: with three, one odd run is outvoted."""


class Baseline(BaseModel):
    """The running median of the last runs, and the highest one it ever reached: the reference.

    Because the reference keeps the highest sustained level, a slope of small falls adds up until it is
    seen; a baseline that followed the median down would excuse it. Runs that breach are not learned. A
    canary that is edited starts a new baseline.
    """

    model_config = ConfigDict(frozen=True)

    recent: tuple[float, ...] = ()
    reference: float | None = None
    """None until there were `SETTLE` runs."""

    def learn(self, value: float) -> "Baseline":
        """Return the baseline with one more run in it."""
        recent = (*self.recent, value)[-WINDOW:]
        if len(recent) < SETTLE:
            return Baseline(recent=recent)
        level = float(median(recent))
        return Baseline(
            recent=recent, reference=level if self.reference is None else max(level, self.reference)
        )
