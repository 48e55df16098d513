"""What the statistics of a trial are worth: credits, sequences, heavy shoppers, beside other ways to do it.

The shop is made up: queries with graded products, and two rankers of which the candidate hears the grades a
little better through as much noise. So this needs no data and no model, and takes two minutes:
`python -m services.lab.benchmarks.trial_statistics`.
"""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from services.lab.report import ReportRow
from services.lab.simulation.interleaving import RankedPair, SessionSums, clicked, pages, sessions
from services.lab.simulation.shoppers import SHOPPERS, ClickModel
from services.rollout.domain.trials.credit import LIMIT, STRONGEST
from services.rollout.domain.trials.evidence import PER_CLIENT
from shared.statistics.group_sequential import Plan
from shared.statistics.mixture import standard_errors
from shared.statistics.ratio import POWERS, interval, power_sums

Floats = NDArray[np.float64]
QUERIES, PRODUCTS = 400, 60
GRADES = (0.45, 0.05, 0.20, 0.30)
"""Share of each grade among the products that a ranker takes into account."""
NOISE = 2.0
"""The deviation of what a ranker hears of a grade."""
ALIKE = 0.93
"""How alike the noises of the two are: eight of their best ten are the same."""
GAIN_VALUES = np.array([0.0, 0.01, 0.1, 1.0])
POOL = 200_000
SIZES = (5_000, 10_000, 20_000)
ERROR = 0.025
"""On each side."""


def made_up(better: float, *, seed: int = 1, alike: float = ALIKE) -> RankedPair:
    """Return two rankings; the candidate hears grades `better` louder."""
    rng = np.random.default_rng(seed)
    grades = rng.choice(4, size=(QUERIES, PRODUCTS), p=GRADES)
    noise = rng.normal(0, NOISE, grades.shape)
    other = alike * noise + math.sqrt(1 - alike**2) * rng.normal(0, NOISE, grades.shape)
    live = np.argsort(-(grades + noise), axis=1)
    candidate = np.argsort(-((1 + better) * grades + other), axis=1)
    return RankedPair(grades, live, candidate)


def gain(pair: RankedPair) -> float:
    """Return the relative gain of the candidate in nDCG@10."""
    discount = 1 / np.log2(np.arange(2, 12))
    ideal = -np.sort(-GAIN_VALUES[pair.grades], axis=1)[:, :10] @ discount
    figures = [
        np.take_along_axis(GAIN_VALUES[pair.grades], ranking[:, :10], axis=1) @ discount / ideal
        for ranking in (pair.live, pair.candidate)
    ]
    return float(figures[1].mean() / figures[0].mean() - 1)


def ours(sums: SessionSums) -> Floats:
    """Return the scores of `services.rollout.domain.trials.credit`."""
    return np.clip(sums.decisive[STRONGEST] / LIMIT, -1, 1)


CREDITS: Mapping[str, Callable[[SessionSums], Floats]] = {
    "sign of clicks": lambda sums: np.sign(sums.drafted[1.0]),
    "clicks": lambda sums: sums.drafted[1.0],
    "sign of clicks that tell": lambda sums: np.sign(sums.decisive[1.0]),
    "clicks that tell": lambda sums: sums.decisive[1.0],
    "objective as it is (cart 3, purchase 10)": lambda sums: sums.decisive[10.0],
    "objective up to 3": lambda sums: sums.decisive[3.0],
    "share of what a session chose": lambda sums: (
        sums.decisive[STRONGEST] / np.maximum(sums.total[STRONGEST], 1e-9)
    ),
    "ours: objective up to 1.5, 5 a session": ours,
}


def credit_rows(better: float) -> Iterator[ReportRow]:
    """Yield how many sessions each credit needs for the same power, as a share of the first one's."""
    pair = made_up(better)
    drafts = pages(pair)
    yield ReportRow(
        f"gain in nDCG@10, better {better}", gain(pair), note=f"{drafts.apart:.0%} of places tell"
    )
    for name, model in SHOPPERS.items():
        sums = sessions(drafts, model, POOL, np.random.default_rng(2))
        drifts = {credit: _drift(score(sums)) for credit, score in CREDITS.items()}
        usual = drifts["sign of clicks"]
        preference = ours(sums).sum() / (np.minimum(sums.acted, LIMIT) / LIMIT).sum()
        more = f"where all see the candidate, {_lift(pair, model):+.2%} clicks"
        yield ReportRow(f"{name} {gain(pair):+.1%} preference", float(preference), note=more)
        for credit, drift in drifts.items():
            yield ReportRow(
                f"{name} {gain(pair):+.1%} {credit}", (usual / drift) ** 2, "x", note=f"{drift:.4f}"
            )


def sequence_rows(better: float, *, trials: int = 2_000) -> Iterator[ReportRow]:
    """Yield the share of trials that promote after so many sessions, by credit and sequence."""
    pair = made_up(better) if better else made_up(0.1)
    sums = sessions(pages(pair), SHOPPERS["position-based"], POOL, np.random.default_rng(3))
    rng = np.random.default_rng(4)
    signs, scores, voices = CREDITS["sign of clicks"](sums), ours(sums), np.minimum(sums.acted, LIMIT) / LIMIT
    if not better:  # each session both ways round: coins would leave the pool with a preference of its own
        signs, scores = np.concatenate([signs, -signs]), np.concatenate([scores, -scores])
        voices = np.concatenate([voices, voices])
    title = f"{gain(pair):+.1%}" if better else "equal"
    planned = {f"ours, group-sequential, planned for {size:,}": size for size in SIZES}
    plans = {name: Plan(ERROR, size) for name, size in planned.items()}
    drawn = rng.integers(0, len(scores), (trials, max(SIZES)), dtype=np.int32)
    promoted = {
        "sign of clicks, normal mixture": _always(_mixture, signs, drawn),
        "ours, normal mixture": _always(_mixture, scores, drawn),
        "ours, betting": _always(_betting, scores, drawn),
        "ours, group-sequential, open": _at_looks(Plan(ERROR), (scores, voices), drawn),
        **{name: _at_looks(plan, (scores, voices), drawn) for name, plan in plans.items()},
    }
    for name, after in promoted.items():
        for size in [size for size in SIZES if name not in planned or size == planned[name]]:
            yield ReportRow(f"{title} {name}, {size:,} sessions", float((after <= size).mean()), "promoted")


def heavy_rows(*, trials: int = 1_000, sessions_each: int = 5_000) -> Iterator[ReportRow]:
    """Yield false and true promotions where some shoppers come up to 400 times, and each has a taste."""
    ways = {
        "every session for itself": (10**9, False),
        "by client": (10**9, True),
        f"by client, the first {PER_CLIENT} (ours)": (PER_CLIENT, True),
        "by client, the first alone": (1, True),
    }
    for preference in (0.0, 0.06):
        rng, counted = np.random.default_rng(5), dict.fromkeys(ways, 0)
        for _ in range(trials):
            clients, scores = _heavy(rng, preference, sessions_each)
            for name, (most, clustered) in ways.items():
                counted[name] += _promoted(clients, scores, most=most, clustered=clustered)
        for name, count in counted.items():
            yield ReportRow(
                f"heavy shoppers, preference {preference:+.0%}, {name}", count / trials, "promoted"
            )


def skewed_rows(*, trials: int = 2_000, sessions_each: int = 2_000) -> Iterator[ReportRow]:
    """Yield false promotions where few speak wholly against the candidate and many a little for it."""
    rng, plan = np.random.default_rng(7), Plan(ERROR, sessions_each)
    looks, bounds = np.array(plan.looks), np.array(plan.boundaries)
    shape = trials, sessions_each
    scores = rng.choice([-1.0, 1 / LIMIT, 0.0], p=[0.02, 0.1, 0.88], size=shape) * (rng.random(shape) < 0.5)
    powers = {(up, down): np.cumsum(scores**up, axis=1)[:, looks - 1] for up, down in POWERS}
    error = np.sqrt(np.maximum(powers[2, 0] - powers[1, 0] ** 2 / looks, 1 / LIMIT**2))
    low, _ = interval(powers, bounds)
    for name, crossed in (("usual interval", powers[1, 0] > bounds * error), ("ours", low > 0)):
        yield ReportRow(f"equal, skewed: {name}", float(crossed.any(axis=1).mean()), "promoted")


def _lift(pair: RankedPair, model: ClickModel) -> float:
    """Return how much more is clicked with the candidate than with the live one, each by itself."""
    clicks = [
        clicked(model, np.repeat(np.take_along_axis(pair.grades, ranking[:, :10], axis=1), 500, axis=0), rng)
        for ranking, rng in zip((pair.live, pair.candidate), map(np.random.default_rng, (6, 6)), strict=True)
    ]
    return float(clicks[1].sum() / clicks[0].sum() - 1)


def _drift(scores: Floats) -> float:
    return float(scores.mean() / scores.std())


def _always(
    sequence: Callable[[Floats], NDArray[np.bool_]], scores: Floats, drawn: NDArray[np.int32]
) -> Floats:
    """Return after how many sessions each trial promotes; infinite: never. It is looked at after each."""
    return np.array([_first(sequence(scores[row])) for row in drawn])


def _first(crossed: NDArray[np.bool_]) -> float:
    return float(crossed.argmax() + 1) if crossed.any() else math.inf


def _mixture(scores: Floats) -> NDArray[np.bool_]:
    """Robbins' normal mixture, tuned to be narrow where these trials decide."""
    spread = np.cumsum(scores**2)
    terms = np.arange(1, len(scores) + 1)
    bound = _MIXTURE[: len(scores)] * np.sqrt(np.maximum(spread, 1e-9))
    crossed: NDArray[np.bool_] = (np.cumsum(scores) > bound) & (terms >= 100)
    return crossed


_MIXTURE = np.array([standard_errors(number, 2 * ERROR, tuned=500) for number in range(1, max(SIZES) + 1)])


def _betting(scores: Floats) -> NDArray[np.bool_]:
    """Bet on a mean above zero, with a mixture of stakes: exact (Waudby-Smith and Ramdas, JRSS B 2024)."""
    stakes = np.array([[0.02, 0.04, 0.08, 0.16, 0.32]]).T
    wealth = np.exp(np.minimum(np.cumsum(np.log1p(stakes * scores), axis=1), 700)).mean(axis=0)
    crossed: NDArray[np.bool_] = wealth >= 1 / ERROR
    return crossed


def _at_looks(plan: Plan, said: tuple[Floats, Floats], drawn: NDArray[np.int32]) -> Floats:
    """Return the same for the looks of a plan, with the interval of `said`: scores and voices."""
    looks = np.array([look for look in plan.looks if look <= drawn.shape[1]])
    powers = np.stack([said[0] ** up * said[1] ** down for up, down in POWERS], axis=1)
    after = []
    for row in drawn:
        between = np.add.reduceat(powers[row[: looks[-1]]], [0, *looks[:-1]], axis=0)
        sums = dict(zip(POWERS, np.cumsum(between, axis=0).T, strict=True))
        low, _ = interval(sums, np.array(plan.boundaries[: len(looks)]))
        after.append(float(looks[(low > 0).argmax()]) if (low > 0).any() else math.inf)
    return np.array(after)


def _heavy(rng: np.random.Generator, preference: float, count: int) -> tuple[NDArray[np.int64], Floats]:
    """Return whose each session is and its score, in order of arrival."""
    visits = np.minimum(rng.pareto(1.2, count).astype(int) + 1, 400)
    clients = rng.permutation(np.repeat(np.arange(count), visits))[:count]
    tastes = np.clip(rng.normal(preference, 0.3, count), -0.8, 0.8)[clients]
    sides = np.where(rng.random(count) < (1 + tastes) / 2, 1.0, -1.0)
    return clients, sides * (rng.random(count) < 0.6)


def _promoted(clients: NDArray[np.int64], scores: Floats, *, most: int, clustered: bool) -> bool:
    order = np.argsort(clients, kind="stable")
    begins = np.searchsorted(clients[order], clients[order])
    visit = np.empty(len(clients), np.int64)
    visit[order] = np.arange(len(clients)) - begins
    plan = Plan(ERROR, len(clients))
    for look, bound in zip(plan.looks, plan.boundaries, strict=True):
        counts = visit[:look] < most
        whose, said = clients[:look][counts], scores[:look][counts]
        if clustered:
            whose = np.unique(whose, return_inverse=True)[1]
            low, _ = interval(
                power_sums(np.bincount(whose, said).astype(float), np.bincount(whose).astype(float)),
                float(bound),
            )
        else:
            low, _ = interval(power_sums(said, np.ones(len(said))), float(bound))
        if low > 0:
            return True
    return False


def rows() -> Iterator[ReportRow]:
    """Yield all tables."""
    for better in (0.05, 0.12):
        yield from credit_rows(better)
    for better in (0.0, 0.05, 0.12):
        yield from sequence_rows(better)
    yield from heavy_rows()
    yield from skewed_rows()


if __name__ == "__main__":
    console = Console(width=140)
    for figure in rows():
        console.print(f"{figure.name:90} {figure.value:7.3f} {figure.unit} {figure.note}", highlight=False)
