"""How often each position is looked at, found from products that were shown at several positions.

The position-based model (Craswell et al., "An experimental comparison of click position-bias models",
WSDM 2008): an action needs a look, which depends on the position only, and an attraction, which depends
on query and product only. Actions are Poisson with mean `impressions * look[position] * attraction[pair]`,
and both factors are estimated together, as regression-EM does (Wang et al., "Position bias estimation for
unbiased learning to rank in personal search", WSDM 2018). Attractions are not shrunk here: with a free
factor for each pair the likelihood of the looks is that of the split of each pair's actions among the
positions it was shown at (Hausman, Hall and Griliches, Econometrica 1984). So only one and the same
product at several positions is evidence, as in intervention harvesting (Agarwal et al., WSDM 2019), and
a ranking that puts the better products first, which misleads every comparison of different products, is
not taken for position bias.

Where nothing varies, nothing is known: how actions fall with the position is then taken to be half
looking, half ranking. `PSEUDO` actions a position speak for that beside those that happened.
"""

from array import array
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.judgements.domain.counts import PairCounts, Totals
from services.judgements.domain.expectations import LEAST_SHARE, TOP, AttractionPrior, Expectations

PSEUDO = 10.0
ROUNDS = 100
STILL = 1e-4
"""A round that changes no look by more than this share is the last."""
STEPS = 25
MOST = np.array([3.0, 2.0])
"""Bounds of a trend's level and slope."""
RIDGE = 1.0
"""So much information speaks for no trend."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(slots=True)
class ExaminationEvidence:
    """What pairs were shown and what they got, as flat arrays: some 12 bytes a (pair, position)."""

    totals: Totals = field(default_factory=Totals)
    """By position, of all these pairs together."""
    _searches: "array[int]" = field(default_factory=lambda: array("i"))
    _pairs: "array[int]" = field(default_factory=lambda: array("i"))
    _positions: "array[int]" = field(default_factory=lambda: array("i"))
    _impressions: "array[int]" = field(default_factory=lambda: array("i"))
    _actions: "dict[str, tuple[array[int], array[int]]]" = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._searches)

    def add(self, counts: PairCounts) -> None:
        """Add a pair; one that was never shown says nothing."""
        if not counts.impressions:
            return
        pair = len(self)
        self._searches.append(counts.searches)
        for position, number in counts.impressions.items():
            self._pairs.append(pair)
            self._positions.append(position)
            self._impressions.append(number)
        for action, number in counts.actions.items():
            pairs, numbers = self._actions.setdefault(action, (array("i"), array("i")))
            pairs.append(pair)
            numbers.append(number)

    def actions(self) -> dict[str, Floats]:
        """Return action -> how many of it each pair got."""
        return {
            action: _sums(np.array(pairs), np.array(numbers, dtype=np.float64), len(self))
            for action, (pairs, numbers) in sorted(self._actions.items())
        }

    def shares(self, looked: Floats) -> Floats:
        """Return each pair's share of its query's looks, as `share_of` does."""
        searches = np.array(self._searches, dtype=np.float64)
        return np.where(searches > 0, np.clip(looked / np.maximum(searches, 1), LEAST_SHARE, 1.0), 1.0)

    def shown(self) -> "ImpressionMatrix":
        """Return where the pairs were shown."""
        positions, places = np.unique(np.array(self._positions, dtype=np.int64), return_inverse=True)
        pairs = np.array(self._pairs, dtype=np.int64)
        return ImpressionMatrix(positions, places, pairs, np.array(self._impressions, dtype=np.float64))


class ImpressionMatrix(NamedTuple):
    """A sparse matrix of impressions: entry `n` is of `pairs[n]` at `positions[places[n]]`."""

    positions: Ints
    places: Ints
    pairs: Ints
    impressions: Floats

    def at(self) -> Floats:
        """Return the impressions at each position."""
        return _sums(self.places, self.impressions)

    def looked(self, looks: Floats) -> Floats:
        """Return each pair's looks."""
        return _sums(self.pairs, self.impressions * looks[self.places])

    def attracted(self, attraction: Floats) -> Floats:
        """Return the actions at each position of pairs so attractive, if all impressions were looked at."""
        return _sums(self.places, self.impressions * attraction[self.pairs])


def _sums(of: Ints, weights: Floats, least: int = 0) -> Floats:
    return np.asarray(np.bincount(of, weights=weights, minlength=least), dtype=np.float64)


def fit(evidence: ExaminationEvidence, prior: float, version: int = 1) -> Expectations:
    """Return what the evidence leads to expect; `prior` is the objective's `w`."""
    if not len(evidence):
        return Expectations(version=version)
    shown, actions, totals = evidence.shown(), evidence.actions(), evidence.totals.actions.values()
    placed = np.array([float(sum(by_place[at] for by_place in totals)) for at in shown.positions.tolist()])
    looks = fit_looks(shown, placed, sum(actions.values(), np.zeros(len(evidence))))
    looks /= looks[shown.positions == TOP].max(initial=0.0) or looks.max()
    looked = shown.looked(looks)
    shares = evidence.shares(looked)
    rates = {action: float(numbers.sum() / looked.sum()) for action, numbers in actions.items()}
    return Expectations(
        looks=dict(zip(shown.positions.tolist(), looks.tolist(), strict=True)),
        rates=rates,
        trends={
            action: fit_trend(numbers, rates[action] * looked, shares=shares, prior=prior)
            for action, numbers in actions.items()
        },
        version=version,
    )


def fit_looks(shown: ImpressionMatrix, placed: Floats, acted: Floats) -> Floats:
    """Return the looks an impression at each position gets, up to a factor.

    `placed` are the actions at each position, `acted` those of each pair: all kinds of actions together,
    because nobody does anything to a product that was not looked at.
    """
    at = shown.at()
    if not placed.sum() or not acted.sum():
        return np.ones(len(at))
    acted = acted * (placed.sum() / acted.sum())  # some positions may be unknown
    halfway = half_the_fall(shown.positions, placed, at)
    looks = halfway
    for _ in range(ROUNDS):
        looked = shown.looked(looks)
        updated = (placed + PSEUDO) / (shown.attracted(acted / looked) + PSEUDO / halfway)
        updated *= placed.sum() / (at @ updated)
        moved = float(np.max(np.abs(updated / looks - 1)))
        looks = updated
        if moved < STILL:
            break
    return looks


def half_the_fall(positions: Ints, placed: Floats, at: Floats) -> Floats:
    """Return looks that fall with the position half as steeply as actions an impression do.

    Actions an impression are taken to fall as a power of the position (least squares of the logarithms);
    an unknown position counts as an average one.
    """
    weights = (placed + 0.5) * (positions > 0)
    x = np.log(np.maximum(positions, 1))
    y = np.log((placed + 0.5) / (at + 1.0))
    if weights.sum():
        x = x - weights @ x / weights.sum()
    spread = weights @ (x * x)
    slope = min(float(weights @ (x * y) / spread), 0.0) if spread > 0 else 0.0
    fall = np.where(positions > 0, np.exp(slope / 2 * x), 1.0)
    return np.asarray(fall * (placed.sum() / (at @ fall)))


def fit_trend(numbers: Floats, expected: Floats, *, shares: Floats, prior: float) -> AttractionPrior:
    """Return how attraction rises with the share of looks: a negative binomial regression.

    `expected` are the actions of an average product with as many looks. Newton's steps, bounded; the
    dispersion is that of attractions with the prior Gamma(prior, prior).
    """
    x = np.stack([np.ones_like(shares), np.log(shares)], axis=1)
    coefficients = np.zeros(2)
    for _ in range(STEPS):
        mean = expected * np.exp(x @ coefficients)
        weight = mean / (1 + mean / prior)
        pull = x.T @ ((numbers - mean) / (1 + mean / prior)) - RIDGE * coefficients
        step = np.clip(np.linalg.solve((x * weight[:, None]).T @ x + RIDGE * np.eye(2), pull), -1, 1)
        coefficients = np.clip(coefficients + step, -MOST, MOST)
        if np.max(np.abs(step)) < STILL:
            break
    return AttractionPrior(float(coefficients[0]), float(coefficients[1]))
