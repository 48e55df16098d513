"""What a trial can tell: how probably it promotes an effect, and how many sessions that takes.

Everything is reckoned from one number, the drift: the mean score of a session over its standard deviation.
"""

import math
from functools import lru_cache

import numpy as np

from shared.statistics.group_sequential import Plan

DRIFT = 0.7
"""The drift of a relative gain of 1 in nDCG@10 where every place tells the two rankings apart. Simulated
shoppers gave 0.9 to 1.1 (decision 052), and those of a shop may choose less."""
APART = 0.75
"""The share of a first page's places that tell the two apart, unless it is known."""
ERROR = 0.025
"""What the first trial of a year may err on each side."""
POWER = 0.8
_REFERENCE = 20_000


def drift(gain: float, *, apart: float = APART) -> float:
    """Return the drift of a relative gain in nDCG@10 (0.04: 4 %).

    The same gain in fewer places is seen sooner, since what does not tell the two apart adds no noise.
    """
    return DRIFT * gain / apart


def power(gain: float, sessions: int, *, error: float = ERROR, apart: float = APART) -> float:
    """Return the probability that a trial of so many interleaved sessions finds the gain."""
    return float(Plan(error, sessions).crossed(drift(gain, apart=apart))[-1])


def sessions_needed(gain: float, *, error: float = ERROR, power: float = POWER, apart: float = APART) -> int:
    """Return the interleaved sessions after which a trial has found a relative gain (or loss) in nDCG@10.

    `power` is the probability that it has. Raises `ValueError` where there is neither gain nor loss.
    """
    if gain == 0:
        raise ValueError("only a gain or a loss can be found: no number of sessions finds nothing")
    return math.ceil(_information(error, power) / drift(gain, apart=apart) ** 2)


def sessions_to_decide(preference: float, deviation: float, *, equal: float, error: float) -> int:
    """Return how many sessions probably decide a trial, were the preference what it seems.

    `deviation` is that of one session's preference; `equal` is within what two are as good as equal.
    """
    room = max(abs(preference), equal - abs(preference))
    return math.ceil(_information(error, POWER) * (deviation / room) ** 2)


@lru_cache(maxsize=64)
def _information(error: float, power: float) -> float:
    """Return `sessions * drift ** 2` at which a planned trial has the power."""
    from scipy.optimize import brentq  # noqa: PLC0415 - 0.2 s, for whoever only imports this

    plan = Plan(error, _REFERENCE)

    def short(root: float) -> float:
        return float(plan.crossed(root / math.sqrt(_REFERENCE))[-1]) - power

    return float(np.square(brentq(short, 0.1, 12.0, xtol=1e-3)))
