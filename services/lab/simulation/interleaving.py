"""Many sessions on interleaved pages at once: every page that a draft can show, and who clicks what on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import QUERIES_OF_A_SESSION
from services.search.domain.draft import draft, ranks_of
from shared.generations.teams import telling

Floats = NDArray[np.float64]
PLACES = 10
COINS = 2 ** (PLACES // 2)
"""A page has a round each two places, and a coin each round."""
_SIDE = {"A": -1.0, "B": 1.0, "-": 0.0}


class RankedPair(NamedTuple):
    """Two rankings of the products of each query."""

    grades: NDArray[np.int64]
    """Of each query, the grade (0 to 3) of each of its products."""
    live: NDArray[np.int64]
    candidate: NDArray[np.int64]
    """Of each query, its products, best first."""


@dataclass(frozen=True)
class DraftedPages:
    """All pages: query, coins, place."""

    grades: NDArray[np.int64]
    drafted: Floats
    """Whose each place is: -1 the live one's, 1 the candidate's."""
    decisive: Floats
    """The same, and 0 where the place tells nothing."""

    @property
    def apart(self) -> float:
        """The share of the places that tell the two apart."""
        return float(np.abs(self.decisive).mean())


def pages(pair: RankedPair) -> DraftedPages:
    """Draft every page of a pair, with every fall of the coins."""
    shape = len(pair.grades), COINS, PLACES
    grades, drafted, decisive = np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape)
    for number, (row, live, candidate) in enumerate(zip(*pair, strict=True)):
        sides = [list(map(str, side)) for side in (live.tolist(), candidate.tolist())]
        for coins in range(COINS):
            picks = draft(sides[0], sides[1], PLACES, coins=coins)
            teams = "".join(pick.team for pick in picks)
            ranks = ranks_of((pick.product_id for pick in picks), *sides)
            grades[number, coins] = [row[int(pick.product_id)] for pick in picks]
            drafted[number, coins] = [_SIDE[team] for team in teams]
            decisive[number, coins] = [_SIDE[team] for team in telling(teams, ranks)]
    return DraftedPages(grades, drafted, decisive)


@dataclass
class SessionSums:
    """What each of many sessions did; actions stronger than a click weigh as the key says."""

    acted: Floats
    """Products acted upon."""
    drafted: Mapping[float, Floats]
    """The candidate's weight less the live one's, over all places."""
    decisive: Mapping[float, Floats]
    """The same over the places that tell something."""
    total: Mapping[float, Floats]
    """The weight of all that was acted upon."""


STRENGTHS = (1.0, 1.5, 3.0, 10.0)


def sessions(drafts: DraftedPages, model: ClickModel, count: int, rng: np.random.Generator) -> SessionSums:
    """Simulate sessions of one to four searches, each of any query."""
    sums = SessionSums(
        np.zeros(count), *({strength: np.zeros(count) for strength in STRENGTHS} for _ in range(3))
    )
    asked = rng.choice(QUERIES_OF_A_SESSION, count)
    for number in range(max(QUERIES_OF_A_SESSION)):
        going = np.flatnonzero(asked > number)
        chosen = rng.integers(len(drafts.grades), size=len(going)), rng.integers(COINS, size=len(going))
        grades = drafts.grades[chosen]
        clicks = clicked(model, grades, rng)
        carts = clicks & (rng.random(clicks.shape) < np.array(model.cart)[grades])
        bought = carts & (rng.random(clicks.shape) < model.purchase)
        sums.acted[going] += clicks.sum(1)
        for strength in STRENGTHS:
            weight = np.where(bought, strength, np.where(carts, min(strength, 3.0), clicks))
            sums.total[strength][going] += weight.sum(1)
            sums.drafted[strength][going] += (weight * drafts.drafted[chosen]).sum(1)
            sums.decisive[strength][going] += (weight * drafts.decisive[chosen]).sum(1)
    return sums


def clicked(model: ClickModel, grades: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return what is clicked on pages of these grades; products of one grade appeal alike."""
    appeal = np.array(model.appeal)[grades]
    if model.satisfaction is None:
        looks = np.array([model.looked_at(place) for place in range(1, grades.shape[1] + 1)])
        chosen: NDArray[np.bool_] = rng.random(grades.shape) < looks * appeal + model.stray_click
        return chosen
    satisfied = rng.random(grades.shape) < np.array(model.satisfaction)[grades]
    clicks = rng.random(grades.shape) < appeal
    tired = rng.random(grades.shape) >= model.perseverance
    over = np.cumsum((clicks & satisfied) | tired, axis=1)
    reached: NDArray[np.bool_] = np.hstack([np.zeros((len(grades), 1), np.int64), over[:, :-1]]) == 0
    return clicks & reached
