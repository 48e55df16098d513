"""`headrace bench judgements`: shoppers through the real stream, recounted, and held against the truth."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from rich.progress import Progress

from services.cli.benchmarks import ground
from services.cli.benchmarks.ground import REDIS, Gauges, Moment
from services.cli.report import Row
from services.cli.simulation.catalogue import Catalogue
from services.cli.simulation.comparison import compare, judged_rates
from services.cli.simulation.shoppers import ClickModel
from services.cli.simulation.traffic import Ranker, Simulation, Traffic, stream
from services.cli.simulation.truth import Agreement, Pair, Truth
from services.cli.verification.judgements import verify_judgements
from services.judgements.reading import read_judgements
from services.judgements.settings import Settings
from shared.clock import SystemClock
from shared.errors import FatalError, TransientError
from shared.infrastructure.ladder import Rung
from shared.infrastructure.running import discover
from shared.infrastructure.stack import Stack
from shared.ports import outgoing
from shared.records import Outgoing

WORKER = "judgements"
SIZES = (9, 3, 1)
"""The largest log divided by these, smallest log first."""
GOAL = 60_000.0
"""Events a CPU-second of the worker and its Redis."""
PUBLISHED = "headrace_judgements_published_total"
QUIET_SECONDS = 5.0
LOOK_SECONDS = 0.25
VERIFY = timedelta(seconds=60)
LEAST_IMPRESSIONS = (50, 20, 5)
"""Pairs shown less often say nothing yet; the first of these that leaves enough pairs is taken."""
ENOUGH_PAIRS = 100


@dataclass(frozen=True, slots=True)
class Log:
    """What one run of the simulation wrote."""

    sessions: int
    messages: Sequence[Outgoing]
    truth: Truth


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one log."""

    sessions: int
    messages: int
    seconds: float
    cpu: dict[str, float]
    differences: int
    judgements: int
    impressions: int
    raw: Agreement
    corrected: Agreement

    @property
    def cpu_rate(self) -> float:
        """Messages a CPU-second of the worker and its Redis."""
        return self.messages / max(self.cpu[WORKER] + self.cpu[REDIS], 1e-9)


def measure(
    catalogue: Catalogue, *, sessions: int, seed: int, broker: Rung | None, progress: Progress
) -> list[Row]:
    """Return the rows of three logs; raises `FatalError` when a count is not the recounted one."""
    runs = []
    for share in SIZES:
        log = simulated(catalogue, sessions // share, seed)
        with ground.fresh((WORKER,), broker) as stack:
            runs.append(_run(stack, log, progress))
    return rows(runs)


def simulated(catalogue: Catalogue, sessions: int, seed: int) -> Log:
    """Return what shoppers write: a tenth of it twice, a fifth of it out of order."""
    traffic = Traffic(sessions=sessions, until=SystemClock().now(), seed=seed, duplicates=0.1, disorder=0.2)
    simulation = Simulation(catalogue, ClickModel(), traffic)
    arrivals = stream(simulation, Ranker(catalogue, seed=seed))
    return Log(sessions, [outgoing(arrival.message) for arrival in arrivals], simulation.truth)


def rows(runs: Sequence[Run]) -> list[Row]:
    """Return the rows of all runs, the largest log's throughput first."""
    largest = runs[-1]
    used = ", ".join(f"{name} {largest.cpu[name]:.1f}" for name in (WORKER, REDIS))
    note = f"{largest.messages:,} messages; CPU-seconds: {used}; bound: the goal"
    found = [
        Row("events per CPU-second", largest.cpu_rate, "1/s", GOAL, note),
        Row("events", largest.messages / largest.seconds, "1/s", note="written to judged, by the clock"),
    ]
    for run in runs:
        of = f"{run.sessions:,} sessions"
        found += [
            Row(
                f"recount difference, {of}",
                run.differences,
                "pairs",
                note=f"{run.messages:,} messages, {run.judgements:,} judgements",
            ),
            Row(f"raw CTR, {of}", run.raw.overall, "rho", note=_about(run.raw, run.impressions)),
            Row(
                f"corrected rate, {of}",
                run.corrected.overall,
                "rho",
                run.raw.overall,
                f"{_about(run.corrected, run.impressions)}; bound: raw CTR",
            ),
        ]
    return found


def _about(agreement: Agreement, impressions: int) -> str:
    return f"{agreement.pairs:,} pairs shown {impressions} times; within a query {agreement.within:.3f}"


def _run(stack: Stack, log: Log, progress: Progress) -> Run:
    settings = discover(Settings.load(data_dir=stack.settings.data_dir))
    gauges = Gauges(stack)
    bar = progress.add_task(f"{log.sessions:,} sessions, written", total=len(log.messages))
    before = gauges.now()
    began = ground.write(settings, log.messages, lambda count: progress.update(bar, completed=count))
    after = quiet(gauges.now, before, least=len(log.messages))
    gauges.close()
    verdict = asyncio.run(verify_judgements(settings, VERIFY))
    if not verdict.equal:
        raise FatalError(f"{len(verdict.differences)} counts differ, such as {verdict.differences[0]}")
    published = asyncio.run(read_judgements(settings))
    raw, corrected, least = _compared(log.truth, judged_rates(published))
    return Run(
        log.sessions,
        len(log.messages),
        after.time - began,
        after.used_since(before),
        len(verdict.differences),
        len(published),
        least,
        raw,
        corrected,
    )


def quiet(look: Callable[[], Moment], before: Moment, *, least: int) -> Moment:
    """Return the moment of the last change, once `least` messages are handled and nothing moves any more."""
    last, done = before, -1.0
    while True:
        now = look()
        moved = now.handled_since(before, WORKER) + now.count_since(before, WORKER, PUBLISHED)
        if moved != done:
            last, done = now, moved
        if now.time - last.time > QUIET_SECONDS and now.handled_since(before, WORKER) >= least:
            return last
        if now.time - last.time > ground.STALLED_SECONDS:
            raise TransientError(f"{WORKER} does nothing, and {least:,} messages are not handled yet")
        time.sleep(LOOK_SECONDS)


def _compared(truth: Truth, rates: Mapping[Pair, float]) -> tuple[Agreement, Agreement, int]:
    """Return how both rates agree with the truth, on the pairs that were shown often enough."""
    for least in LEAST_IMPRESSIONS:
        raw, corrected = compare(truth, rates, impressions=least)
        if raw.pairs >= ENOUGH_PAIRS:
            break
    return raw, corrected, least
