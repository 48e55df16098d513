"""Raw and corrected click rates against the shoppers' true taste, counted and estimated as the worker does.

On several simulated shops each, because one may be luck; and on shoppers who look down a page in another
way than the simulator's, because a method may fit one curve only.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

from services.cli.report import Row
from services.cli.simulation.catalogue import Catalogue
from services.cli.simulation.comparison import compare, corrected_rates, recounted
from services.cli.simulation.shoppers import ClickModel
from services.cli.simulation.traffic import Arrival, Ranker, Simulation, Traffic, stream
from services.cli.simulation.truth import Agreement, Pair, Truth
from services.judgements.domain.rules import Rules
from services.judgements.domain.statistics import Objective

SHOWN = (1, 5, 20, 50)
"""Pairs shown at least so often are compared; 1: all that were shown."""
OTHER_SHOPPERS = {
    "looks p^-0.5": ClickModel(position_bias=0.5),
    "looks p^-1": ClickModel(position_bias=1.0),
    "looks p^-1.5": ClickModel(position_bias=1.5),
    "looks in steps": ClickModel(looks=(1.0, 1.0, 0.5, 0.5, 0.5, 0.15)),
}

"""The simulator's own look at position p with probability p^-0.8."""

Both = tuple[Agreement, Agreement]
"""How raw CTR and the corrected rate agree with the truth."""


@dataclass(frozen=True, slots=True)
class Log:
    """What one run of the simulation wrote, in order of arrival."""

    sessions: int
    arrivals: Sequence[Arrival]
    truth: Truth


def simulated(
    catalogue: Catalogue,
    sessions: int,
    seed: int,
    *,
    until: datetime,
    model: ClickModel | None = None,
    ranker: Ranker | None = None,
) -> Log:
    """Return what shoppers write: a tenth of it twice, a fifth of it out of order."""
    traffic = Traffic(sessions=sessions, until=until, seed=seed, duplicates=0.1, disorder=0.2)
    simulation = Simulation(catalogue, model or ClickModel(), traffic)
    shown = ranker or Ranker.blurred(catalogue, seed=seed)
    return Log(sessions, list(stream(simulation, shown)), simulation.truth)


def agreements(truth: Truth, rates: Mapping[Pair, float]) -> dict[int, Both]:
    """Return the comparison for each of `SHOWN`."""
    return {least: compare(truth, rates, impressions=least) for least in SHOWN}


def offline(log: Log) -> dict[int, Both]:
    """Compare the rates of an offline recount."""
    return agreements(log.truth, corrected_rates(recounted(log.arrivals, Rules()), Objective()))


def rows(name: str, found: Sequence[Mapping[int, Both]]) -> Iterator[Row]:
    """Yield a row for each number of impressions: the mean over runs, raw CTR as its bound."""
    by_least = defaultdict(list)
    for run in found:
        for least, both in run.items():
            by_least[least].append(both)
    for least, runs in sorted(by_least.items()):
        raw, corrected = (fmean(both[kind].overall for both in runs) for kind in (0, 1))
        yield Row(
            f"{name}, shown {least}+",
            corrected,
            "rho",
            raw,
            f"{_won(runs)}{runs[0][0].pairs:,} pairs; within a query {_within(runs)}; bound: raw CTR",
        )


def _won(runs: Sequence[Both]) -> str:
    won = sum(corrected.overall > raw.overall for raw, corrected in runs)
    return f"better in {won} of {len(runs)} runs; " if len(runs) > 1 else ""


def _within(runs: Sequence[Both]) -> str:
    raw, corrected = (fmean(both[kind].within for both in runs) for kind in (0, 1))
    return f"{corrected:.3f} to {raw:.3f}"
