"""From counts to rates that do not reward a product for where it was shown.

COEC, clicks over expected clicks (Zhang and Jones, "Comparing click logs and editorial labels for
training query rewriting", WWW 2007), for every action: a product's actions divided by those that the
average product would have had at the positions where this one was shown. Actions are taken as Poisson
with mean `theta * expected`; theta has the prior Gamma(w, w), whose mean is 1. The posterior is
Gamma(w + actions, w + expected): its mean is the shrunken rate `(w + actions) / (w + expected)`, and its
2.5 % and 97.5 % quantiles are the interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt

from services.judgements.domain.counts import PairCounts, Totals

Z95 = 1.959964
HIGHEST_GRADE = 3.0


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What the business wants: a weight for each action, and how much evidence `prior` equals."""

    weights: Mapping[str, float] = field(
        default_factory=lambda: {
            "click": 1.0,
            "add_to_cart": 3.0,
            "favourite": 2.0,
            "share": 2.0,
            "store_visit": 5.0,
            "purchase": 10.0,
        }
    )
    prior: float = 10.0
    """`w`: so many expected actions weigh as much as the assumption that the product is average."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One action's rate relative to the average product (1.0), with its 95 % interval."""

    count: int
    expected: float
    rate: float
    low: float
    high: float


def position_rates(totals: Totals) -> dict[str, dict[int, float]]:
    """Return action -> position -> actions per impression there.

    Actions whose position is not known (0), or where nothing was shown, are spread evenly over all
    impressions, so that what is expected of all products together is what happened.
    """
    shown = sum(totals.impressions.values())
    rates = {}
    for action, counter in totals.actions.items():
        unplaced = sum(number for position, number in counter.items() if not totals.impressions[position])
        base = unplaced / shown if shown else 0.0
        rates[action] = {
            position: base + counter[position] / number
            for position, number in totals.impressions.items()
            if number
        }
    return rates


def estimate(count: int, expected: float, prior: float) -> Estimate:
    """Return the shrunken rate and its interval."""
    shape, scale = prior + count, prior + expected
    if scale <= 0:
        return Estimate(count, expected, 1.0, 0.0, 0.0)
    low, high = (gamma_quantile(shape, z) / scale for z in (-Z95, Z95))
    return Estimate(count, expected, shape / scale, low, high)


def gamma_quantile(shape: float, z: float) -> float:
    """Return the quantile of Gamma(shape, 1) at the normal quantile `z`.

    Wilson and Hilferty's cube root approximation (1931); within 1 % for shapes of 5 and more.
    """
    if shape <= 0:
        return 0.0
    root = 1 - 1 / (9 * shape) + z / (3 * sqrt(shape))
    return shape * max(0.0, root) ** 3


def estimates(
    counts: PairCounts, rates: Mapping[str, Mapping[int, float]], objective: Objective
) -> dict[str, Estimate]:
    """Return every action that counts for the objective or was seen, with its estimate."""
    found = {}
    for action in sorted({*counts.actions, *(rates.keys() & objective.weights.keys())}):
        at = rates.get(action, {})
        expected = sum(number * at.get(position, 0.0) for position, number in counts.impressions.items())
        found[action] = estimate(counts.actions.get(action, 0), expected, objective.prior)
    return found


def value(found: Mapping[str, Estimate], objective: Objective) -> float:
    """Return the weighted mean of the rates: 1 for an average product, or when nothing is known."""
    weighed = [(objective.weights.get(action, 0.0), it.rate) for action, it in found.items()]
    weight = sum(share for share, _ in weighed)
    return sum(share * rate for share, rate in weighed) / weight if weight > 0 else 1.0


def grade(worth: float) -> float:
    """Map a value to 0 .. 3, rising: 0 -> 0, half the average -> 0.6, average -> 1.5, twice -> 2.4."""
    square = min(worth, 1e6) ** 2
    return HIGHEST_GRADE * square / (1 + square)


def integer_grade(graded: float) -> int:
    """Round half up to 0, 1, 2 or 3, as qrels files want it."""
    return int(graded + 0.5)
