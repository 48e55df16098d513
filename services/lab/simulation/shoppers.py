"""One shopper in front of one ranking: what is looked at, clicked, put in the cart, bought.

Three click models (Chuklin, Markov and de Rijke, "Click Models for Web Search", 2015, chapter 3): a click
needs a look and an appeal, `P(click) = P(look) x P(appeal | query, product)`. Position-based shoppers look at
each position on its own; cascade shoppers (Craswell et al., WSDM 2008) look from the top down until their
first click; dynamic Bayesian ones (Chapelle and Zhang, WWW 2009) go on after a click that did not satisfy
them, and may give up at any position. What follows a click depends on the grade. So the truth is known.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)

ByGrade = tuple[float, float, float, float]
"""A probability for each grade: irrelevant, complement, substitute, exact."""
ALWAYS: ByGrade = (1.0, 1.0, 1.0, 1.0)


class ShownProduct(NamedTuple):
    """A product in a ranking: its grade, and the probability that a look at it becomes a click."""

    product_id: str
    grade: int
    appeal: float


class ShopperAction(NamedTuple):
    """What a shopper did, how long after the query."""

    name: str
    product_id: str
    position: int
    delay: timedelta


@dataclass(frozen=True, kw_only=True)
class ClickModel:
    """The probabilities behind every action; all are given what comes before them."""

    position_bias: float = 0.8
    """A shopper looks at position p with probability `p ** -position_bias`."""
    looks: tuple[float, ...] = ()
    """Probabilities of a look position by position instead; the last one holds for all that follow."""
    appeal: ByGrade = (0.03, 0.10, 0.28, 0.60)
    taste: float = 0.25
    """Standard deviation of the logarithm of appeal among products of one grade."""
    stray_click: float = 0.004
    """Of position-based shoppers: the probability of a click that nothing explains."""
    satisfaction: ByGrade | None = None
    """The probability that a click ends the search. None: position-based shoppers, whom no click changes."""
    perseverance: float = 1.0
    """Of the others: the probability to go on to the next position when the search has not ended."""
    cart: ByGrade = (0.02, 0.06, 0.14, 0.30)
    purchase: float = 0.45
    favourite: float = 0.04
    share: float = 0.012
    store_visit: float = 0.008
    days_later: float = 0.15
    """Share of purchases that are made one to five days after the query."""

    def looked_at(self, position: int) -> float:
        """Return the probability that position (from 1) is looked at."""
        if self.looks:
            return self.looks[min(position, len(self.looks)) - 1]
        return float(position**-self.position_bias)

    def appeal_of(self, grade: int, pair: str) -> float:
        """Return the appeal of the (query, product) that `pair` names: always the same for the same name."""
        taste = random.Random(pair).gauss(0, self.taste)  # noqa: S311 - the truth must be reproducible
        return float(min(0.95, self.appeal[grade] * math.exp(taste)))

    def clicks(self, shown: ShownProduct, position: int) -> float:
        """Return the probability of a click of a position-based shopper."""
        return self.looked_at(position) * shown.appeal + self.stray_click


CASCADE = ClickModel(satisfaction=ALWAYS)
"""Everything is looked at until the first click, and nothing after it."""
DYNAMIC_BAYESIAN = ClickModel(satisfaction=(0.05, 0.15, 0.35, 0.65), perseverance=0.9)
SHOPPERS = {"position-based": ClickModel(), "cascade": CASCADE, "dynamic Bayesian": DYNAMIC_BAYESIAN}


def shop(model: ClickModel, ranking: Sequence[ShownProduct], rng: random.Random) -> Iterator[ShopperAction]:
    """Walk down the ranking as a shopper does."""
    if model.satisfaction is not None:
        yield from _shop_downwards(model, ranking, model.satisfaction, rng=rng)
        return
    for position, shown in enumerate(ranking, start=1):
        if rng.random() < model.clicks(shown, position):
            yield from _visit(model, shown, position, rng)


def _shop_downwards(
    model: ClickModel, ranking: Sequence[ShownProduct], satisfaction: ByGrade, *, rng: random.Random
) -> Iterator[ShopperAction]:
    """Look at one position after the other, until satisfied or tired."""
    for position, shown in enumerate(ranking, start=1):
        if rng.random() < shown.appeal:
            yield from _visit(model, shown, position, rng)
            if rng.random() < satisfaction[shown.grade]:
                return
        if rng.random() >= model.perseverance:
            return


def ransack(ranking: Sequence[ShownProduct], rng: random.Random) -> Iterator[ShopperAction]:
    """Walk down the ranking as a robot does: everything is clicked, at once."""
    for position, shown in enumerate(ranking, start=1):
        yield ShopperAction(
            "click", shown.product_id, position, 0.05 * position * rng.uniform(0.8, 1.2) * SECOND
        )


def _visit(
    model: ClickModel, shown: ShownProduct, position: int, rng: random.Random
) -> Iterator[ShopperAction]:
    product = shown.product_id
    clicked = (1.5 * position + rng.expovariate(1 / 3)) * SECOND
    yield ShopperAction("click", product, position, clicked)
    for name, probability in (("favourite", model.favourite), ("share", model.share)):
        if rng.random() < probability:
            yield ShopperAction(name, product, position, clicked + rng.uniform(5, 60) * SECOND)
    if rng.random() < model.store_visit:
        yield ShopperAction("store_visit", product, position, rng.uniform(0.1, 3) * DAY)
    if rng.random() < model.cart[shown.grade]:
        carted = clicked + rng.uniform(10, 120) * SECOND
        yield ShopperAction("add_to_cart", product, position, carted)
        if rng.random() < model.purchase:
            later = (
                rng.uniform(1, 5) * DAY if rng.random() < model.days_later else rng.uniform(30, 900) * SECOND
            )
            yield ShopperAction("purchase", product, position, carted + later)
