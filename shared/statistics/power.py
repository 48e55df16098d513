"""What a trial can tell: how probably it promotes an effect, and how many sessions that takes.

Everything is reckoned from one number, the drift: the mean score of a session over its standard deviation.
"""

import math
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq

from shared.statistics.group_sequential import Plan

PREFERENCE = 1.2
"""Mean score of deciding sessions for each 1 of relative gain in nDCG@10, as simulated (decision 052)."""
DEVIATION = 0.5
"""Standard deviation of a deciding session's score, likewise."""
DECIDING = 0.6
"""Share of the interleaved sessions in which anything is acted upon, likewise."""
_REFERENCE = 20_000


def drift(gain: float) -> float:
    """Return the drift of a relative gain in nDCG@10 (0.04: 4 %)."""
    return gain * PREFERENCE / DEVIATION * math.sqrt(DECIDING)


def power(gain: float, sessions: int, *, error: float) -> float:
    """Return the probability that a trial of so many interleaved sessions finds the gain."""
    return float(Plan(error, sessions).crossed(drift(gain))[-1])


def sessions_needed(gain: float, *, error: float, power: float = 0.8) -> int:
    """Return the interleaved sessions after which a trial has found a relative gain, with a probability.

    Raises `ValueError` unless the gain is above zero.
    """
    if gain <= 0:
        raise ValueError("only a gain can be found: ask for one above zero")
    return math.ceil(_information(error, power) / drift(gain) ** 2)


def more_sessions(
    mean: float, standard_error: float, *, sessions: int, equal: float, error: float
) -> int | None:
    """Return how many more sessions would probably decide, were the mean what it seems; None: unknown."""
    if not (math.isfinite(standard_error) and sessions):
        return None
    deviation = standard_error * math.sqrt(sessions)
    room = max(abs(mean), equal - abs(mean))
    needed = _information(error, 0.8) * (deviation / room) ** 2
    return max(math.ceil(needed) - sessions, 1)


@lru_cache(maxsize=64)
def _information(error: float, power: float) -> float:
    """Return `sessions * drift ** 2` at which a planned trial has the power."""
    plan = Plan(error, _REFERENCE)

    def short(root: float) -> float:
        return float(plan.crossed(root / math.sqrt(_REFERENCE))[-1]) - power

    return float(np.square(brentq(short, 0.1, 12.0, xtol=1e-3)))
