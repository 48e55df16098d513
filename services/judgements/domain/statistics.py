"""From counts to rates that do not reward a product for where it was shown.

Actions over expected actions, as COEC has it for clicks (Zhang and Jones, "Comparing click logs and
editorial labels for training query rewriting", WWW 2007), with one difference: expected are those of an
average product that is looked at as often (`examination`), not of the product that usually stands there,
which is a better one the better the ranking is.

Actions are taken as Poisson with mean `theta * expected`; theta has the prior Gamma(w * m, w), whose mean
`m` is what products with the same share of their query's looks attract (empirical Bayes): what the ranking
knows is kept until there is evidence. The posterior is Gamma(w * m + actions, w + expected): its mean is
the rate `(w * m + actions) / (w + expected)`, and its 2.5 % and 97.5 % quantiles are the interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt

from services.judgements.domain.counts import PairCounts
from services.judgements.domain.expectations import Expectations, Trend, share_of

Z95 = 1.959964
HIGHEST_GRADE = 3.0
DECIMALS = 6
FLAT = Trend()


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
    prior: float = 2.0
    """`w`: so many expected actions weigh as much as what the ranking says of the product."""

    @property
    def name(self) -> str:
        """Return what tells it from other objectives."""
        return " ".join(f"{action}={weight:g}" for action, weight in sorted(self.weights.items())) + (
            f" prior={self.prior:g}"
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """One action's rate relative to the average product (1.0), with its 95 % interval."""

    count: int
    expected: float
    prior: float
    rate: float
    low: float
    high: float


def estimate(count: int, expected: float, *, prior: float, weight: float) -> Estimate:
    """Return the rate and its interval; `prior` is the mean before the evidence, `weight` is `w`.

    Everything is rounded, `expected` and `prior` before they are used: whoever reads them gets the rate.
    """
    expected, prior = round(expected, DECIMALS), round(prior, DECIMALS)
    shape, scale = weight * prior + count, weight + expected
    low, high = (round(gamma_quantile(shape, z) / scale, DECIMALS) for z in (-Z95, Z95))
    return Estimate(count, expected, prior, round(shape / scale, DECIMALS), low, high)


def gamma_quantile(shape: float, z: float) -> float:
    """Return the quantile of Gamma(shape, 1) at the normal quantile `z`.

    Wilson and Hilferty's cube root approximation (1931); within 1 % for shapes of 5 and more.
    """
    if shape <= 0:
        return 0.0
    root = 1 - 1 / (9 * shape) + z / (3 * sqrt(shape))
    return shape * max(0.0, root) ** 3


def estimates(counts: PairCounts, by: Expectations, objective: Objective) -> dict[str, Estimate]:
    """Return every action that counts for the objective or was seen, with its estimate."""
    looks = by.looked(counts.impressions)
    share = share_of(looks, counts.searches)
    found = {}
    for action in sorted({*counts.actions, *(by.rates.keys() & objective.weights.keys())}):
        expected = by.rates.get(action, 0.0) * looks
        prior = by.trends.get(action, FLAT).at(share)
        found[action] = estimate(counts.actions.get(action, 0), expected, prior=prior, weight=objective.prior)
    return found


def value(found: Mapping[str, Estimate], objective: Objective) -> float:
    """Return the weighted mean of the rates: 1 for an average product, or when nothing is known."""
    weighed = [(objective.weights.get(action, 0.0), it.rate) for action, it in found.items()]
    weight = sum(share for share, _ in weighed)
    worth = sum(share * rate for share, rate in weighed) / weight if weight > 0 else 1.0
    return round(worth, DECIMALS)


def grade(worth: float) -> float:
    """Map a value to 0 .. 3, rising: 0 -> 0, half the average -> 0.6, average -> 1.5, twice -> 2.4."""
    square = min(worth, 1e6) ** 2
    return round(HIGHEST_GRADE * square / (1 + square), DECIMALS)


def integer_grade(graded: float) -> int:
    """Round half up to 0, 1, 2 or 3, as qrels files want it."""
    return int(graded + 0.5)
