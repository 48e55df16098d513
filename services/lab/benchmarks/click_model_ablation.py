"""Raw and corrected click rates against the shoppers' true taste, counted and estimated as the worker does.

On several simulated shops each, because one may be luck; and on shoppers who look down a page in another
way than the simulator's, because a method may fit one curve only.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

from services.judgements.domain.rules import JoinRules
from services.judgements.domain.statistics import BusinessObjective
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import GradedCatalogue
from services.lab.simulation.comparison import compare, corrected_rates, recounted
from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import Arrival, Ranker, Simulation, Traffic, stream
from services.lab.simulation.truth import Agreement, Pair, Truth

SHOWN = (1, 5, 20, 50)
"""Pairs shown at least so often are compared; 1: all that were shown."""
OTHER_SHOPPERS = {
    "looks p^-0.5": ClickModel(position_bias=0.5),
    "looks p^-1": ClickModel(position_bias=1.0),
    "looks p^-1.5": ClickModel(position_bias=1.5),
    "looks in steps": ClickModel(looks=(1.0, 1.0, 0.5, 0.5, 0.5, 0.15)),
}
"""Click models other than the simulator's own, whose shoppers look at position p with probability p^-0.8."""

RawAndCorrected = tuple[Agreement, Agreement]
"""How raw CTR and the corrected rate agree with the truth."""


@dataclass(frozen=True, slots=True)
class ClickLog:
    """What one run of the simulation wrote, in order of arrival."""

    sessions: int
    arrivals: Sequence[Arrival]
    truth: Truth


def simulated(
    catalogue: GradedCatalogue,
    sessions: int,
    seed: int,
    *,
    until: datetime,
    model: ClickModel | None = None,
    ranker: Ranker | None = None,
) -> ClickLog:
    """Return what shoppers write: a tenth of it twice, a fifth of it out of order."""
    traffic = Traffic(sessions=sessions, until=until, seed=seed, duplicates=0.1, disorder=0.2)
    simulation = Simulation(catalogue, model or ClickModel(), traffic)
    shown = ranker or Ranker.blurred(catalogue, seed=seed)
    return ClickLog(sessions, list(stream(simulation, shown)), simulation.truth)


def agreements(truth: Truth, rates: Mapping[Pair, float]) -> dict[int, RawAndCorrected]:
    """Return the comparison for each of `SHOWN`."""
    return {least: compare(truth, rates, impressions=least) for least in SHOWN}


def offline(log: ClickLog) -> dict[int, RawAndCorrected]:
    """Compare the rates of an offline recount."""
    return agreements(log.truth, corrected_rates(recounted(log.arrivals, JoinRules()), BusinessObjective()))


def rows(name: str, runs: Sequence[Mapping[int, RawAndCorrected]]) -> Iterator[ReportRow]:
    """Yield a row for each number of impressions: the mean over runs, raw CTR as its bound."""
    by_least = defaultdict(list)
    for agreed in runs:
        for least, pair in agreed.items():
            by_least[least].append(pair)
    for least, pairs in sorted(by_least.items()):
        raw, corrected = (fmean(pair[kind].overall for pair in pairs) for kind in (0, 1))
        yield ReportRow(
            f"{name}, shown {least}+",
            corrected,
            "rho",
            raw,
            f"{_won(pairs)}{pairs[0][0].pairs:,} pairs; within a query {_within(pairs)}; bound: raw CTR",
        )


def _won(runs: Sequence[RawAndCorrected]) -> str:
    wins = sum(corrected.overall > raw.overall for raw, corrected in runs)
    return f"better in {wins} of {len(runs)} runs; " if len(runs) > 1 else ""


def _within(runs: Sequence[RawAndCorrected]) -> str:
    raw, corrected = (fmean(pair[kind].within for pair in runs) for kind in (0, 1))
    return f"{corrected:.3f} to {raw:.3f}"
