"""`headrace bench judgements`: shoppers through the real stream, recounted, and held against the truth."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from rich.progress import Progress

from services.judgements.reading import read_judgements
from services.judgements.settings import Settings
from services.lab.benchmarks import click_model_ablation, harness
from services.lab.benchmarks.click_model_ablation import (
    ClickLog,
    RawAndCorrected,
    agreements,
    offline,
    simulated,
)
from services.lab.benchmarks.harness import REDIS, Gauges, Moment
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import GradedCatalogue
from services.lab.simulation.comparison import judged_rates
from services.lab.simulation.shoppers import ClickModel
from services.lab.verification.judgements import verify_judgements
from shared.clock import SystemClock
from shared.errors import FatalError, TransientError
from shared.infrastructure.ladder import Rung
from shared.infrastructure.running import discover
from shared.infrastructure.stack import Stack
from shared.ports import outgoing

WORKER = "judgements"
SIZES = (9, 3, 1)
"""The largest log divided by these, smallest log first."""
GOAL = 60_000.0
"""Events a CPU-second of the worker and its Redis."""
PUBLISHED = "headrace_judgements_published_total"
QUIET_SECONDS = 8.0
"""Longer than the pause between two fits."""
LOOK_SECONDS = 0.25
VERIFY = timedelta(seconds=60)
SEEDS = 3
"""Runs that are compared for each size and kind of shoppers."""
PUBLISHED_SHOWN = (1, 20)


@dataclass(frozen=True, slots=True)
class JudgementRun:
    """What became of one log."""

    sessions: int
    messages: int
    seconds: float
    cpu: dict[str, float]
    differences: int
    judgements: int
    agreements: Mapping[int, RawAndCorrected]
    """By the least number of impressions."""

    @property
    def cpu_rate(self) -> float:
        """Messages a CPU-second of the worker and its Redis."""
        return self.messages / max(self.cpu[WORKER] + self.cpu[REDIS], 1e-9)


def measure(
    catalogue: GradedCatalogue, *, sessions: int, seed: int, broker: Rung | None, progress: Progress
) -> list[ReportRow]:
    """Return the rows of three logs; raises `FatalError` when a count is not the recounted one."""
    until = SystemClock().now()
    runs = []
    for share in SIZES:
        log = simulated(catalogue, sessions // share, seed, until=until)
        with harness.fresh((WORKER,), broker) as stack:
            runs.append(_run(stack, log, progress))
    return [*rows(runs), *_compared(catalogue, [run.sessions for run in runs], seed, progress=progress)]


def _compared(
    catalogue: GradedCatalogue, sizes: Sequence[int], seed: int, *, progress: Progress
) -> list[ReportRow]:
    """Return how the rates agree with the truth on several runs of each size, and with other shoppers."""
    until, seeds = SystemClock().now(), range(seed, seed + SEEDS)
    cases = [(f"{size:,} sessions", size, ClickModel()) for size in sizes]
    cases += [
        (f"{min(sizes):,}, {name}", min(sizes), model)
        for name, model in click_model_ablation.OTHER_SHOPPERS.items()
    ]
    bar = progress.add_task("raw CTR and corrected rate, against the truth", total=len(cases) * SEEDS)
    compared: list[ReportRow] = []
    for name, size, model in cases:
        runs = []
        for simulation_seed in seeds:
            runs.append(offline(simulated(catalogue, size, simulation_seed, until=until, model=model)))
            progress.advance(bar)
        compared += click_model_ablation.rows(f"corrected rate, {name}", runs)
    return compared


def rows(runs: Sequence[JudgementRun]) -> list[ReportRow]:
    """Return the rows of all runs, the largest log's throughput first."""
    largest = runs[-1]
    used = ", ".join(f"{name} {largest.cpu[name]:.1f}" for name in (WORKER, REDIS))
    note = f"{largest.messages:,} messages; CPU-seconds: {used}; bound: the goal"
    figures = [
        ReportRow("events per CPU-second", largest.cpu_rate, "1/s", GOAL, note),
        ReportRow(
            "events", largest.messages / largest.seconds, "1/s", note="written to judged, by the clock"
        ),
    ]
    for run in runs:
        of = f"{run.sessions:,} sessions"
        note = f"{run.messages:,} messages, {run.judgements:,} judgements"
        figures.append(ReportRow(f"recount difference, {of}", run.differences, "pairs", note=note))
        shown = {least: run.agreements[least] for least in PUBLISHED_SHOWN}
        figures += click_model_ablation.rows(f"published rate, {of}", [shown])
    return figures


def _run(stack: Stack, log: ClickLog, progress: Progress) -> JudgementRun:
    settings = discover(Settings.load(data_dir=stack.settings.data_dir))
    gauges = Gauges(stack)
    messages = [outgoing(arrival.message) for arrival in log.arrivals]
    bar = progress.add_task(f"{log.sessions:,} sessions, written", total=len(messages))
    before = gauges.now()
    began = harness.write(settings, messages, lambda count: progress.update(bar, completed=count))
    after = quiet(gauges.now, before, least=len(messages))
    gauges.close()
    verdict = asyncio.run(verify_judgements(settings, VERIFY))
    if not verdict.equal:
        raise FatalError(f"{len(verdict.differences)} counts differ, such as {verdict.differences[0]}")
    published = asyncio.run(read_judgements(settings))
    return JudgementRun(
        log.sessions,
        len(messages),
        after.time - began,
        after.used_since(before),
        len(verdict.differences),
        len(published),
        agreements(log.truth, judged_rates(published)),
    )


def quiet(look: Callable[[], Moment], before: Moment, *, least: int) -> Moment:
    """Return the moment of the last change, once `least` messages are handled and nothing moves any more."""
    still, work_done = before, -1.0
    while True:
        now = look()
        work = now.handled_since(before, WORKER) + now.count_since(before, WORKER, PUBLISHED)
        if work != work_done:
            still, work_done = now, work
        if now.time - still.time > QUIET_SECONDS and now.handled_since(before, WORKER) >= least:
            return still
        if now.time - still.time > harness.STALLED_SECONDS:
            raise TransientError(f"{WORKER} does nothing, and {least:,} messages are not handled yet")
        time.sleep(LOOK_SECONDS)
