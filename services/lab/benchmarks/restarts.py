"""`headrace bench restarts`: texts embedded again after re-delivery, a drain and a kill -9 in a backfill."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from rich.progress import Progress

from schemas.base import Message
from schemas.control import Rollout
from schemas.index import IndexRecord, read_record
from schemas.topics import index_records
from services.embedder.backfill import AT_ONCE
from services.lab.benchmarks.harness import READY, Gauges
from services.lab.benchmarks.ingest import EMBEDDED, Ingest, Phase, upserts
from services.lab.benchmarks.made_catalogue import made_products
from services.lab.benchmarks.second_generation import other_model, record_of
from services.lab.report import ReportRow
from services.rollout.requests import new_request
from shared.clock import SystemClock
from shared.errors import FatalError, TransientError
from shared.generations.rollout_log import read_rollouts
from shared.infrastructure.stack import Stack
from shared.kafka.publisher import publish_once
from shared.kafka.topic_reader import TopicReader
from shared.ports import outgoing

EMBEDDER = "embedder"
SCRAPE_SECONDS, LOOK_SECONDS = 0.01, 0.5
DRAINED, KILLED = "restart after a drain", "kill -9"


class Restarts:
    """One installation whose embedder is interrupted while it builds generations."""

    def __init__(self, stack: Stack, gauges: Gauges, progress: Progress, work: Path) -> None:
        self._stack = stack
        self._settings = stack.settings
        self._gauges = gauges
        self._progress = progress
        self._work = work

    def build(self, generation: str, texts: int, interrupt: Callable[[], float]) -> tuple[float, float]:
        """Build a generation, interrupted half-way; returns the texts embedded by then, and those again."""
        bar = self._progress.add_task(f"{generation}, texts embedded", total=texts)
        before = self._embedded()
        model = other_model(self._settings, self._work / generation, generation)
        request = new_request("backfill", generation).model_copy(update={"model_id": generation})
        self._say(record_of(self._settings, model, generation), request)

        def is_half() -> bool:
            embedded = self._embedded() - before
            self._progress.update(bar, completed=embedded)
            return embedded >= texts / 2

        self._until(is_half, f"half of {generation}", every=SCRAPE_SECONDS)
        embedded = max(interrupt() - before, self._published(generation))
        self._stack.start_worker(EMBEDDER)
        self._stack.wait_ready(within=READY)
        self._until(lambda: self._is_done(request), generation)
        again = embedded + self._embedded() - texts
        self._progress.update(bar, completed=texts)
        retirement = new_request("retire", generation)
        self._say(retirement)
        self._until(lambda: self._is_done(retirement), f"the end of {generation}")
        return embedded, again

    def drain(self) -> float:
        """Stop the embedder cleanly; returns the texts that it had embedded in all by its end."""
        embedded = self._embedded()
        with ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(self._stack.stop_worker, EMBEDDER)
            while not stopping.done():
                try:
                    embedded = self._embedded()
                except httpx.HTTPError:  # its port is the last thing that it closes
                    break
                time.sleep(SCRAPE_SECONDS)
        return embedded

    def kill(self) -> float:
        """Kill the embedder at the worst moment: a step has just been embedded, and is not published."""
        start = embedded = self._embedded()
        while embedded == start:
            embedded = self._embedded()
        self._stack.kill(EMBEDDER)
        return embedded

    def _embedded(self) -> float:
        """Return the texts that this process of the embedder has embedded."""
        return self._gauges.of(EMBEDDER).get(EMBEDDED, 0.0)

    def _say(self, *messages: Message) -> None:
        asyncio.run(publish_once(self._settings, [outgoing(message) for message in messages]))

    def _is_done(self, request: Rollout) -> bool:
        """Whether it was answered; raises `FatalError` when it was refused."""
        answer = asyncio.run(read_rollouts(self._settings)).answers.get(request.request_id or "")
        if answer is not None and answer.status == "refused":
            raise FatalError(f"{request.action} {request.generation} was refused: {answer.reason}")
        return answer is not None and answer.status == "done"

    def _published(self, generation: str) -> int:
        """Return how many texts have their vectors in the topic."""

        async def read() -> int:
            texts: dict[str, int] = {}
            async with TopicReader(self._settings, [index_records(generation).name]) as reader:
                async for record in reader.news():
                    written = read_record(record.value) if record.value else None
                    if isinstance(written, IndexRecord):
                        texts[written.product_id] = len(written.passages)
            return sum(texts.values())

        return asyncio.run(read())

    def _until(self, holds: Callable[[], bool], what: str, *, every: float = LOOK_SECONDS) -> None:
        """Return when it holds; raises `TransientError` when that takes too long."""
        deadline = time.monotonic() + READY.total_seconds()
        while not holds():
            if time.monotonic() > deadline:
                raise TransientError(f"no {what} within {READY}:\n{self._stack.tail(EMBEDDER)}")
            time.sleep(every)


def measure(stack: Stack, count: int, *, work: Path, progress: Progress) -> tuple[list[ReportRow], list[str]]:
    """Return every row of the report, and what was promised and did not hold; empty: all of it held."""
    products = list(made_products(count))
    gauges = Gauges(stack)
    try:
        ingest = Ingest(stack, gauges, progress)
        changes = upserts(products, int(SystemClock().now().timestamp() * 1000))
        loaded = ingest.run("documents", changes)
        redelivered = ingest.run("re-delivery", changes)
        restarts = Restarts(stack, gauges, progress, work)
        texts = int(loaded.texts)
        drained = restarts.build("drained", texts, restarts.drain)
        killed = restarts.build("killed", texts, restarts.kill)
    finally:
        gauges.close()
    report = list(rows(loaded, redelivered, drained=drained, killed=killed))
    return report, broken(report)


def rows(
    loaded: Phase, redelivered: Phase, *, drained: tuple[float, float], killed: tuple[float, float]
) -> Iterator[ReportRow]:
    """Yield the report; of both restarts, the texts embedded by then, and those embedded again."""
    note = f"of {loaded.texts:,.0f} of {loaded.messages:,} products, all delivered again; bound: none"
    yield ReportRow("texts embedded again, re-delivery", redelivered.texts, "", 0, note)
    note = f"in a backfill, {drained[0]:,.0f} of {loaded.texts:,.0f} done; bound: none"
    yield ReportRow(f"texts embedded again, {DRAINED}", drained[1], "", 0, note)
    most = AT_ONCE * loaded.texts / loaded.messages
    note = f"in a backfill, {killed[0]:,.0f} of {loaded.texts:,.0f} done; bound: a step of {AT_ONCE} products"
    yield ReportRow(f"texts embedded again, {KILLED}", killed[1], "", round(most), note)


def broken(report: Iterable[ReportRow]) -> list[str]:
    """Return a sentence for each promise that did not hold."""
    return [
        f"{row.name}: {row.value:,.0f}, more than {row.bound:,.0f}"
        for row in report
        if row.bound is not None and row.value > row.bound
    ]
