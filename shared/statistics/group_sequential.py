"""Looking more than once at a growing number of sessions, with a stated error over all looks together.

A group-sequential test with an error-spending function (Lan and DeMets, "Discrete sequential boundaries for
clinical trials", Biometrika 1983), at looks that have no end: it is valid at every look, whenever one stops
and whatever made one stop. Between looks nobody looks, which is why it needs fewer sessions than a
sequence that is valid at every single one (decision 052 has both).

The statistic of a look is the mean over its standard error, a random walk by the central limit theorem;
the interval at each look is Jennison and Turnbull's repeated confidence interval (1989).
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FIRST = 400
"""Interleaved sessions at the first look."""
GROWTH = 1.1
"""Each look has so many times the sessions of the one before."""
OPEN = 20_000
"""Sessions around which a trial of no stated size spends most of its error."""
FURTHEST = 100
"""Looks of a trial without a stated size; the last is at five million sessions."""
_POINTS, _REACH, _HIGHEST = 201, 6.5, 8.0


@dataclass(frozen=True)
class Plan:
    """At which numbers of sessions a trial is looked at, and how much error each look may spend."""

    error: float
    """Of each side: of finding above zero what is not, and likewise below."""
    sessions: int | None = None
    """After which it ends in any case; None: it goes on for as long as sessions come."""

    @cached_property
    def looks(self) -> tuple[int, ...]:
        """Return the numbers of sessions, rising; the last is the stated end."""
        grid = [int(FIRST * GROWTH**number) for number in range(FURTHEST)]
        if self.sessions is None:
            return tuple(grid)
        return (*(look for look in grid if look * GROWTH**0.5 < self.sessions), self.sessions)

    @cached_property
    def spent(self) -> tuple[float, ...]:
        """Return the error that may have been spent at each look: `x**2 / (x**2 + 1/9)` of all of it.

        `x` is the share of the planned sessions. A planned last look spends what is left.
        """
        shares = (look / (self.sessions or OPEN) for look in self.looks)
        spent = [self.error * share**2 / (share**2 + 1 / 9) for share in shares]
        return tuple(spent if self.sessions is None else [*spent[:-1], self.error])

    @cached_property
    def boundaries(self) -> tuple[float, ...]:
        """Return the standard errors of each look that the mean must be away from a value to exclude it."""
        return _boundaries(self.looks, self.spent)

    def crossed(self, drift: float) -> Array:
        """Return the probability that the boundary has been crossed at each look.

        `drift` is the mean over the standard deviation of one session.
        """
        walk = _Walk(self.looks[0], drift)
        total, crossed = 0.0, []
        for number, boundary in enumerate(self.boundaries):
            if number:
                walk.step(self.looks[number])
            total += walk.beyond(boundary)
            walk.stop(boundary)
            crossed.append(total)
        return np.array(crossed)


@lru_cache(maxsize=256)
def _boundaries(looks: tuple[int, ...], spent: tuple[float, ...]) -> tuple[float, ...]:
    walk, boundaries = _Walk(looks[0], 0.0), []
    for number, (before, now) in enumerate(pairwise((0.0, *spent))):
        if number:
            walk.step(looks[number])
        boundaries.append(walk.boundary(now - before))
        walk.stop(boundaries[-1])
    return tuple(boundaries)


class _Walk:
    """The density, at a look, of a random walk that has not crossed yet (Armitage et al. 1969)."""

    def __init__(self, sessions: int, drift: float) -> None:
        self._sessions, self._drift = sessions, drift
        self._places: Array = np.zeros(1)
        self._weights: Array = np.ones(1)
        self._mean, self._deviation = drift * sessions, math.sqrt(sessions)

    def step(self, sessions: int) -> None:
        """Go on to the next look."""
        self._mean = self._drift * (sessions - self._sessions)
        self._deviation = math.sqrt(sessions - self._sessions)
        self._sessions = sessions

    def beyond(self, boundary: float) -> float:
        """Return the probability of being beyond a boundary now, and within all before."""
        from scipy.special import ndtr  # noqa: PLC0415 - 0.2 s, for whoever only imports this

        least = boundary * math.sqrt(self._sessions)
        return float(self._weights @ ndtr((self._places + self._mean - least) / self._deviation))

    def boundary(self, error: float) -> float:
        """Return the boundary that is crossed now with a probability."""
        from scipy.optimize import brentq  # noqa: PLC0415 - 0.2 s, for whoever only imports this

        if self.beyond(_HIGHEST) >= error:
            return _HIGHEST
        return float(brentq(lambda boundary: self.beyond(boundary) - error, 0.0, _HIGHEST, xtol=1e-6))

    def stop(self, boundary: float) -> None:
        """Keep what has not crossed the boundary."""
        root = math.sqrt(self._sessions)
        centre = self._drift * self._sessions
        low, high = min(centre, 0.0) - _REACH * root, boundary * root
        places = np.linspace(low, high, _POINTS)
        apart = (places[:, None] - self._places[None, :] - self._mean) / self._deviation
        density = np.exp(-0.5 * apart**2) @ self._weights / (self._deviation * math.sqrt(2 * math.pi))
        width = np.full(_POINTS, places[1] - places[0])
        width[[0, -1]] /= 2
        self._places, self._weights = places, density * width
