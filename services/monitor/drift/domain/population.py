"""How far a window's values are from those of the last weeks: the PSI, for people to read.

Nothing alarms by it: its usual limits (0.1, 0.25) are habits, and by chance alone it grows as the number of
values falls.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from datasketches import kll_floats_sketch
from pydantic import BaseModel, ConfigDict

from services.monitor.drift.domain.sketches import merged, opened

BINS = 10
GRID = [(place + 0.5) / 100 for place in range(100)]
"""Ranks by which a sketch is taken for so many equal parts."""
DAYS = 28


class Stability(BaseModel):
    """A population stability index, and what it would be by chance if nothing had changed."""

    model_config = ConfigDict(frozen=True)

    psi: float
    by_chance: float


class Population(BaseModel):
    """The values of the last weeks as a sketch a day, and those of the newest window."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    days: Mapping[int, bytes] = {}
    day: int = 0
    """Of the newest window."""
    newest: bytes = b""

    def with_window(self, day: int, values: bytes, *, usual: bool) -> "Population":
        """Return the population after one more window; the one before joins the reference, if `usual`."""
        days = dict(self.days)
        if usual and self.newest:
            days[self.day] = merged(days.get(self.day, b""), self.newest)
        kept = {number: days[number] for number in sorted(days)[-DAYS:]}
        return Population.model_construct(days=kept, day=day, newest=values)

    def stability(self) -> Stability | None:
        """Return the PSI of the newest window against the weeks before; None at first."""
        if not self.newest or not self.days:
            return None
        return stability([opened(day) for day in self.days.values()], opened(self.newest))


def stability(usual: Sequence[kll_floats_sketch], now: kll_floats_sketch) -> Stability:
    """Return the PSI over the deciles of all `usual` values: the sum of (q - p) ln(q / p).

    An empty bin counts as half a value. By chance it is about (bins - 1) (1/n + 1/m): Yurdakul (2018),
    Statistical properties of population stability index. The sketches are not merged, which tosses coins.
    """
    total = sum(sketch.n for sketch in usual)
    points = np.concatenate([sketch.get_quantiles(GRID) for sketch in usual])
    order = np.argsort(points)
    reached = np.cumsum(np.repeat([sketch.n / total / len(GRID) for sketch in usual], len(GRID))[order])
    places = np.searchsorted(reached, np.arange(1, BINS) / BINS)
    edges = np.unique(points[order][places])
    before = sum(sketch.n * np.array(sketch.get_pmf(edges)) for sketch in usual) / total
    after = np.array(now.get_pmf(edges))
    before, after = np.maximum(before, 0.5 / total), np.maximum(after, 0.5 / now.n)
    index = float(((after - before) * np.log(after / before)).sum())
    return Stability(psi=index, by_chance=len(edges) * (1 / total + 1 / now.n))
