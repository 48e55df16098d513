"""An interval of a ratio of two sums over independent units, which may be skewed.

The studentised ratio is as normal as its skewness lets it be: where a few units say much one way and many a
little the other, the usual interval is too short on one side, and trials of equals are promoted several times
as often as stated. So the statistic is transformed (Hall, "On the removal of skewness by transformation",
JRSS B 1992), and for each bound one more unit is thought of that speaks against it, because those who do may
be too rare to have come yet.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PowerSums = Mapping[tuple[int, int], Floats]
"""Over the units, the sum of `numerator**i * denominator**j`, by `(i, j)`; arrays of one shape."""

POWERS = tuple((up, down) for up in range(4) for down in range(4 - up))


def power_sums(numerators: Floats, denominators: Floats) -> PowerSums:
    """Return the sums over the last axis."""
    return {(up, down): np.sum(numerators**up * denominators**down, axis=-1) for up, down in POWERS}


def interval(sums: PowerSums, boundary: Floats | float) -> tuple[Floats, Floats]:
    """Return what lies `boundary` standard errors either way of the ratio, or more where it is skewed.

    For each bound one more unit counts, with a denominator of one and a numerator of one against the bound.
    """
    mirrored = {(up, down): -total if up % 2 else total for (up, down), total in sums.items()}
    return _lower(sums, boundary), -_lower(mirrored, boundary)


def _lower(sums: PowerSums, boundary: Floats | float) -> Floats:
    with_another = {(up, down): total + (-1.0) ** up for (up, down), total in sums.items()}
    count, denominator = with_another[0, 0], with_another[0, 1]
    ratio = with_another[1, 0] / denominator
    squares = sum(weight * ratio**down * with_another[2 - down, down] for down, weight in enumerate(_SECOND))
    cubes = sum(weight * ratio**down * with_another[3 - down, down] for down, weight in enumerate(_THIRD))
    skewness = cubes / squares**1.5
    lower: Floats = ratio - np.sqrt(squares * count / (count - 1)) / denominator * _stretched(
        boundary, skewness
    )
    return lower


_SECOND, _THIRD = (1, -2, 1), (1, -3, 3, -1)
"""Binomial coefficients: of the powers of what a unit is away from the ratio."""


def _stretched(boundary: Floats | float, skewness: Floats) -> Floats:
    """Return the inverse of Hall's transformation; `skewness` is a unit's over the root of their number."""
    least = np.where(np.abs(skewness) < 1e-9, 1e-9, skewness)
    stretched: Floats = 3 / least * (np.cbrt(1 + least * (boundary - least / 6)) - 1)
    return stretched
