"""`headrace bench backfill`: from nothing to searchable, then a second generation, under live changes."""

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path

import orjson
from rich.progress import Progress, Task

from schemas.control import Model
from services.lab.benchmarks import harness
from services.lab.benchmarks.freshness import GOALS
from services.lab.benchmarks.harness import STALLED_SECONDS, Gauges
from services.lab.benchmarks.live_traffic import LiveTraffic
from services.lab.benchmarks.loading import quantile
from services.lab.benchmarks.made_catalogue import TEMPLATES, made_products
from services.lab.benchmarks.second_generation import documents, other_model, record_of
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import ShopProduct
from services.rollout.domain.readiness import GenerationEvidence
from services.rollout.requests import ask, new_request
from services.rollout.settings import Settings as RolloutSettings
from shared.clock import SystemClock
from shared.errors import FatalError, TransientError
from shared.infrastructure.running import discover
from shared.infrastructure.stack import Stack
from shared.kafka.publisher import KafkaPublisher, publish_once
from shared.ports import outgoing

WORKERS = ("shards", "embedder", "search", "rollout")
EMBEDDER = "embedder"
ENVIRONMENT = {"HEADRACE_EMBEDDER__TEXT": orjson.dumps(TEMPLATES).decode()}
LIVE, CANDIDATE = "g1", "g2"
WATCHED = 300
"""Products that are there before anything is measured, and whose prices change."""
ALONE_SECONDS = 20.0
"""So long changes are watched while nothing else goes on."""
AHEAD = 200
"""Messages that the load is ahead of the embedder: it is written as it is taken in."""
PORTION = 50
POLL_SECONDS = 0.1
SAMPLE_SECONDS = 2.0
SAID_SECONDS = 60.0
"""Where no bar is drawn, so often a line says how far it is."""
MEGABYTE = 1e6
ALONE, LOAD, BACKFILL = "alone", "load", "backfill"
OBJECTIVE_SHARE = 0.99
"""Of the changes that must be seen in time."""


@dataclass(slots=True)
class Stretch:
    """A stretch of the run: how many products came through, and what that took."""

    products: int
    seconds: float = 0.0
    cpu: Mapping[str, float] = field(default_factory=dict)
    memory: list[Mapping[str, float]] = field(default_factory=list)
    """Bytes by process, every few seconds."""
    half_way: tuple[float, float] | None = None
    """When half of it was done: the seconds that had gone, and those that were said to be left."""


class Watch:
    """Follows a phase: shows how far it is, and sees that it moves."""

    def __init__(self, phase: Stretch, progress: Progress, name: str) -> None:
        self._phase = phase
        self._progress = progress
        self._bar = progress.add_task(name, total=phase.products or None)
        self._began = self._moved = time.monotonic()
        self._done = -1
        self._said = self._began

    def at(self, done: int) -> None:
        """Take note of how many are done; raises `TransientError` when that has not changed for long."""
        now, half = time.monotonic(), self._phase.products / 2
        self._progress.update(self._bar, completed=done)
        if done > half > 0 and self._phase.half_way is None:
            self._phase.half_way = now - self._began, self._task.time_remaining or 0.0
        if now - self._said > SAID_SECONDS and not self._progress.console.is_terminal:
            self._said = now
            self._progress.console.print(self._line(done))
        if done != self._done:
            self._done, self._moved = done, now
        if now - self._moved > STALLED_SECONDS:
            raise TransientError(f"{done} of {self._phase.products} products after {now - self._began:.0f} s")

    @property
    def _task(self) -> Task:
        return next(task for task in self._progress.tasks if task.id == self._bar)

    def _line(self, done: int) -> str:
        """Return what the bar says, for a log, and the memory of each process."""
        task = self._task
        memory = self._phase.memory[-1] if self._phase.memory else {}
        used = ", ".join(f"{name} {size / MEGABYTE:.0f} MB" for name, size in memory.items())
        left = timedelta(seconds=round(task.time_remaining or 0))
        far = f"{done:,} of {task.total or 0:,.0f}, {task.speed or 0:,.0f}/s, {left} left"
        return f"{task.description}: {far}; {used}"


class BackfillBench:
    """One installation, measured phase after phase, under the same live traffic."""

    def __init__(self, stack: Stack, traffic: LiveTraffic, progress: Progress) -> None:
        self.phases: dict[str, Stretch] = {}
        self._settings = stack.settings
        self._traffic = traffic
        self._progress = progress
        self._gauges = Gauges(stack)

    def alone(self) -> None:
        """Let the changes go on by themselves for a while."""
        with self._measured(ALONE, 0) as watch:
            until = time.monotonic() + ALONE_SECONDS
            while time.monotonic() < until:
                watch.at(0)
                time.sleep(POLL_SECONDS)

    def load(self, products: Iterator[ShopProduct], count: int) -> None:
        """Write the products as they are taken in; returns when all of them are searchable."""
        already = documents(self._settings, LIVE)
        with self._measured(LOAD, count) as watch:
            asyncio.run(self._write(products, watch))
            while (searchable := documents(self._settings, LIVE) - already) < count:
                watch.at(searchable)
                time.sleep(POLL_SECONDS)

    async def _write(self, products: Iterator[ShopProduct], watch: Watch) -> None:
        publisher, clock = KafkaPublisher(self._settings), SystemClock()
        await publisher.start()
        try:
            before = self._gauges.handled(EMBEDDER) - self._traffic.written
            written = 0
            while portion := list(islice(products, PORTION)):
                while True:
                    done = self._gauges.handled(EMBEDDER) - self._traffic.written - before
                    watch.at(max(0, int(done)))
                    if written - done < AHEAD:
                        break
                    await asyncio.sleep(POLL_SECONDS)
                now = clock.now()
                version = int(now.timestamp() * 1000)
                await publisher.publish([outgoing(product.change(version, now)) for product in portion])
                written += len(portion)
        finally:
            await publisher.stop()

    def backfill(self, model: Model, count: int) -> None:
        """Build the second generation as an operator does; returns when it could be promoted."""
        settings = discover(RolloutSettings.load(data_dir=self._settings.data_dir))
        request = new_request("backfill", CANDIDATE).model_copy(update={"model_id": model.model_id})
        with self._measured(BACKFILL, count) as watch:

            def show(candidate: GenerationEvidence, _: GenerationEvidence, __: Sequence[str]) -> None:
                watch.at(candidate.documents)

            answer = asyncio.run(ask(settings, request, show))
        if answer.status != "done":
            raise FatalError(f"the second generation was {answer.status}: {answer.reason}")

    @contextmanager
    def _measured(self, name: str, products: int) -> Iterator[Watch]:
        phase = self.phases[name] = Stretch(products)
        before = self._gauges.now()
        self._traffic.phase = name
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(SAMPLE_SECONDS):
                phase.memory.append(self._gauges.memory())

        phase.memory.append(self._gauges.memory())
        sampler = threading.Thread(target=look, daemon=True)
        sampler.start()
        try:
            yield Watch(phase, self._progress, name)
        finally:
            ended.set()
            sampler.join()
        self._traffic.phase = ""
        after = self._gauges.now()
        phase.seconds, phase.cpu = after.time - before.time, after.used_since(before)
        phase.memory.append(self._gauges.memory())
        if self._traffic.failure is not None:
            raise self._traffic.failure


def measure(
    stack: Stack, products: int, *, rate: float, work: Path, progress: Progress
) -> tuple[list[ReportRow], list[str]]:
    """Return every row of the report, and what was promised and did not hold; empty: all of it held."""
    settings = stack.settings
    made = made_products(products)
    watched = list(islice(made, WATCHED))
    model = record_of(settings, other_model(settings, work / "model", CANDIDATE), CANDIDATE)
    asyncio.run(publish_once(settings, [outgoing(model)]))
    now = SystemClock().now()
    harness.write(
        settings,
        [outgoing(product.change(1, now)) for product in watched],
        lambda _: None,
    )
    while documents(settings, LIVE) < len(watched):
        time.sleep(POLL_SECONDS)
    traffic = LiveTraffic(settings, stack.url("search"), [product.id for product in watched], rate=rate)
    with traffic:
        bench = BackfillBench(stack, traffic, progress)
        bench.alone()
        bench.load(made, products - len(watched))
        bench.backfill(model, products)
    return list(rows(bench.phases, traffic)), broken(traffic)


def rows(phases: Mapping[str, Stretch], traffic: LiveTraffic) -> Iterator[ReportRow]:
    """Yield the report."""
    yield from _rates(phases)
    yield from _freshness(traffic)
    yield from _memory(phases)


def _rates(phases: Mapping[str, Stretch]) -> Iterator[ReportRow]:
    for name in (LOAD, BACKFILL):
        phase = phases[name]
        used = ", ".join(f"{process} {seconds:.0f}" for process, seconds in phase.cpu.items())
        note = f"{phase.products:,} in {phase.seconds:.0f} s; CPU-seconds: {used}"
        yield ReportRow(f"{name}, products", phase.products / phase.seconds, "1/s", note=note)
        if phase.half_way is not None:
            gone, left = phase.half_way
            note = "said when half was done; bound: what it took"
            yield ReportRow(f"{name}, time left", left, "s", phase.seconds - gone, note)


def _freshness(traffic: LiveTraffic) -> Iterator[ReportRow]:
    for phase in (ALONE, LOAD, BACKFILL):
        for kind, goals in GOALS.items():
            seconds = traffic.ages[phase].seconds[kind]
            for label, share, goal in zip(("p50", "p99"), (0.5, 0.99), goals, strict=True):
                note = f"of {len(seconds)}; publish to seen; bound: the goal"
                value = quantile(seconds, share) * 1000
                yield ReportRow(f"{kind}, {phase}, {label}", value, "ms", goal, note)
        recorded = traffic.recorded[phase]
        for label, share in (("p50", 0.5), ("p99", 0.99)):
            note = f"of {len(recorded)}; publish to the record: the embedder's part"
            yield ReportRow(
                f"price change to record, {phase}, {label}", quantile(recorded, share) * 1000, "ms", note=note
            )
        seconds, limit = traffic.ages[phase].seconds["price change"], GOALS["price change"][1]
        within = sum(1000 * one <= limit for one in seconds) / max(1, len(seconds))
        note = f"within {limit:g} ms; {traffic.late[phase]} were never seen"
        yield ReportRow(f"price changes in time, {phase}", within, "", OBJECTIVE_SHARE, note)


def _memory(phases: Mapping[str, Stretch]) -> Iterator[ReportRow]:
    """Yield each process at the end of a phase, beside when a tenth was done and all models were loaded."""
    for name in (LOAD, BACKFILL):
        memory, products = phases[name].memory, phases[name].products
        before, first, middle, last = (memory[len(memory) * tenths // 10] for tenths in (0, 1, 5, 9))
        for process in first:
            grown = (last[process] - first[process]) / (0.8 * products)
            note = (
                f"{before[process] / MEGABYTE:.0f} before, {middle[process] / MEGABYTE:.0f} in the middle; "
                f"{grown:,.0f} bytes a product; bound: when a tenth was done"
            )
            begin, end = first[process] / MEGABYTE, last[process] / MEGABYTE
            yield ReportRow(f"memory of {process}, {name}", end, "MB", begin, note)


def broken(traffic: LiveTraffic) -> list[str]:
    """Return a sentence for each promise that did not hold."""
    limit = GOALS["price change"][1]
    late = {phase: count for phase, count in traffic.late.items() if count}
    sentences = [f"{phase}: {count} changes were never seen" for phase, count in late.items()]
    if (p99 := quantile(traffic.ages[BACKFILL].seconds["price change"], 0.99) * 1000) > limit:
        sentences.append(f"{BACKFILL}: a price change took {p99:.0f} ms at p99, more than {limit:g}")
    return sentences
