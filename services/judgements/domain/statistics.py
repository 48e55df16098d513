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

from scipy.special import gammaincinv

from schemas.judgements import OBJECTIVE
from services.judgements.domain.counts import PairCounts
from services.judgements.domain.expectations import AttractionPrior, Expectations, share_of

TAIL = 0.025
"""What an interval of 95 % leaves out on each side."""
HIGHEST_GRADE = 3.0
DECIMALS = 6
FORMULAS = 2
"""Raised when a judgement follows from its counts in another way."""
FLAT = AttractionPrior()


@dataclass(frozen=True, kw_only=True)
class BusinessObjective:
    """What the business wants: a weight for each action, and how much evidence `prior` equals."""

    weights: Mapping[str, float] = field(default_factory=lambda: dict(OBJECTIVE))
    prior: float = 2.0
    """`w`: so many expected actions weigh as much as what the ranking says of the product."""

    @property
    def name(self) -> str:
        """Return what tells it, and the formulas, from others: when it changes, every pair is judged anew."""
        weights = " ".join(f"{action}={weight:g}" for action, weight in sorted(self.weights.items()))
        return f"{weights} prior={self.prior:g} formulas={FORMULAS}"


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
    low, high = (round(quantile / scale, DECIMALS) for quantile in interval(shape))
    return Estimate(count, expected, prior, round(shape / scale, DECIMALS), low, high)


def interval(shape: float) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % quantiles of Gamma(shape, 1); both 0 for a shape of 0.

    By the inverse of the regularised incomplete gamma function (DiDonato and Morris 1986, as scipy has it):
    most pairs of a shop have a shape below 5, where closed approximations are far off.
    """
    if shape <= 0:
        return 0.0, 0.0
    low, high = gammaincinv(shape, (TAIL, 1 - TAIL))
    # Below a shape of 0.005 nearly all of the mass lies at 0, and the mean above the upper quantile.
    return float(low), max(float(high), shape)


def estimates(counts: PairCounts, by: Expectations, objective: BusinessObjective) -> dict[str, Estimate]:
    """Return every action that counts for the objective or was seen, with its estimate."""
    looks = by.looked(counts.impressions)
    share = share_of(looks, counts.searches)
    by_action = {}
    for action in sorted({*counts.actions, *(by.rates.keys() & objective.weights.keys())}):
        expected = by.rates.get(action, 0.0) * looks
        prior = by.trends.get(action, FLAT).at(share)
        count = counts.actions.get(action, 0)
        by_action[action] = estimate(count, expected, prior=prior, weight=objective.prior)
    return by_action


def value(by_action: Mapping[str, Estimate], objective: BusinessObjective) -> float:
    """Return the weighted mean of the rates: 1 for an average product, or when nothing is known."""
    weighed = [(objective.weights.get(action, 0.0), estimate.rate) for action, estimate in by_action.items()]
    total = sum(weight for weight, _ in weighed)
    mean = sum(weight * rate for weight, rate in weighed) / total if total > 0 else 1.0
    return round(mean, DECIMALS)


def grade(value: float) -> float:
    """Map a value to 0 .. 3, rising: 0 -> 0, half the average -> 0.6, average -> 1.5, twice -> 2.4."""
    square = min(value, 1e6) ** 2
    return round(HIGHEST_GRADE * square / (1 + square), DECIMALS)


def integer_grade(graded: float) -> int:
    """Round half up to 0, 1, 2 or 3, as qrels files want it."""
    return int(graded + 0.5)
