"""`headrace bench soak`: everything at once for a long time, to see that memory is flat and nothing wrong."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import httpx
from rich.progress import Progress
from scipy.stats import theilslopes

from headrace.search_api import SearchClient
from services.lab.benchmarks.freshness import GOALS
from services.lab.benchmarks.harness import REDIS, Gauges
from services.lab.benchmarks.http_load import LoadPlan, LoadPortion
from services.lab.benchmarks.load_run import LoadResult, portions
from services.lab.benchmarks.loading import load, quantile
from services.lab.benchmarks.mixed_writes import MixedWrites, WriteRates, differences
from services.lab.benchmarks.search_engines import Kind, address_of, post, search_body
from services.lab.benchmarks.watched_changes import SeenChange, WatchedChanges
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import GradedCatalogue
from shared.infrastructure.stack import Stack

WORKERS = ("shards", "embedder", "search", "judgements")
KINDS: Mapping[Kind, int] = {"hybrid": 6, "lexical": 1, "dense": 1, "filtered 10 %": 2}
"""How often each kind of search is asked, of ten."""
REQUESTS = 2000
BELOW = 20.0
"""The price that filtered searches stay below."""
CONNECTIONS = 64
WATCHED_RATE = 1.0
"""Price changes a second that are watched; and as often a new product, as soon as the last is gone."""
MINUTE = 60.0
SAMPLE_SECONDS = 5.0
WARM_SHARE, WARM_SECONDS = 1 / 3, 600.0
"""Of the whole, or so long at most: until then pools and caches fill, and memory counts for nothing."""
GROWTH = 0.02
"""The share of its memory by which a process may grow in what is measured, by the low end of the interval."""
REMEMBERS = "not judged: it remembers queries and deletes"
"""Of Redis: every new query id, and every product id that ever was, takes room by design."""
SETTLED_SECONDS, POLL_SECONDS = 60.0, 0.5
MEGABYTE, HOUR = 1e6, 3600.0


@dataclass(slots=True)
class SoakMinute:
    """A minute of it."""

    searches: LoadResult = field(default_factory=LoadResult)
    began: float = 0.0
    """Monotonic."""


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much a process' memory changes, after the warm-up."""

    first: float
    last: float
    """Bytes, the medians of the first and the last tenth."""
    slope: float
    low: float
    high: float
    """Bytes a second, Theil and Sen's, and its 95 % interval."""
    seconds: float

    @property
    def flat(self) -> bool:
        """Whether it may well not grow, or by next to nothing."""
        return self.low * self.seconds <= GROWTH * self.first


@dataclass(slots=True)
class Soak:
    """What a soak saw."""

    seconds: float
    minutes: list[SoakMinute] = field(default_factory=list)
    memory: list[tuple[float, Mapping[str, float]]] = field(default_factory=list)
    """When (seconds since it began), and bytes by process."""
    observations: list[SeenChange] = field(default_factory=list)
    written: Mapping[str, int] = field(default_factory=dict)
    refused: int = 0
    """Shoppers' searches that were not answered."""
    wrong: list[str] = field(default_factory=list)
    """Products that are not what was written last."""
    dead: list[str] = field(default_factory=list)
    """Workers that did not say how they are."""

    def whole(self) -> LoadResult:
        """Return all searches as one load."""
        result = LoadResult(seconds=self.seconds)
        for minute in self.minutes:
            result.latencies += minute.searches.latencies
            result.errors += minute.searches.errors
        return result

    def growth(self) -> dict[str, Growth]:
        """Return how each process' memory changes after the warm-up; none of what has too few samples."""
        warm = min(WARM_SHARE * self.seconds, WARM_SECONDS)
        later = [(at, sizes) for at, sizes in self.memory if at >= warm]
        if len(later) < 3:
            return {}
        times = [at for at, _ in later]
        return {
            process: growth_of(times, [sizes.get(process, 0.0) for _, sizes in later])
            for process in later[-1][1]
        }

    def during(self, minute: SoakMinute, kind: str) -> list[float]:
        """Return after how long the changes of a kind that were written in a minute were seen."""
        end = minute.began + MINUTE
        return [
            one.seconds
            for one in self.observations
            if one.kind == kind and one.seconds is not None and minute.began <= one.at < end
        ]

    @property
    def unseen(self) -> int:
        """How many changes were never seen."""
        return sum(one.seconds is None for one in self.observations)


def growth_of(times: Sequence[float], sizes: Sequence[float]) -> Growth:
    """Return the robust trend of sizes over times (seconds): garbage collections are no slope."""
    slope, _, low, high = theilslopes(sizes, times, 0.95)
    tenth = max(1, len(sizes) // 10)
    first, last = quantile(sizes[:tenth], 0.5), quantile(sizes[-tenth:], 0.5)
    return Growth(first, last, float(slope), float(low), float(high), times[-1] - times[0])


def measure(
    stack: Stack,
    catalogue: GradedCatalogue,
    *,
    seconds: float,
    rate: float,
    rates: WriteRates,
    progress: Progress,
) -> Soak:
    """Fill the installation, and let everything go on for so long."""
    settings, url = stack.settings, stack.url("search")
    with SearchClient(url) as client:
        load(settings, client, catalogue, progress=progress)
    texts = [query.text for query in catalogue.queries]
    address = address_of(url)
    plan = LoadPlan(
        *address,
        tuple(requests(address, texts)),
        b'"partial":false',
        clients=CONNECTIONS,
        seconds=seconds,
        rate=rate,
    )
    soak, gauges = Soak(seconds), Gauges(stack)
    titles = [product.title for product in catalogue.products]
    try:
        with (
            MixedWrites(settings, url, catalogue.products, texts, rates) as writes,
            WatchedChanges(settings, url, rate=WATCHED_RATE, titles=titles) as watched,
        ):
            SoakRun(soak, gauges, watched, progress).run(plan)
    finally:
        gauges.close()
    for thread in (writes, watched):
        if thread.failure is not None:
            raise thread.failure
    soak.observations, soak.written = watched.observations, writes.written
    soak.refused = writes.refused
    soak.wrong = _settled(url, writes)
    return soak


def _settled(url: str, writes: MixedWrites) -> list[str]:
    """Return the products that are wrong after all has had time to arrive."""
    deadline = time.monotonic() + SETTLED_SECONDS
    expected = writes.expected
    while True:
        wrong = asyncio.run(differences(url, expected))
        if not wrong or time.monotonic() > deadline:
            return wrong
        expected = {name: expected[name] for name in wrong}
        time.sleep(POLL_SECONDS)


def requests(address: tuple[str, int], texts: Sequence[str]) -> Iterator[bytes]:
    """Yield searches of all kinds, mixed; none of them counts as a shopper's."""
    draw = Random(1)  # noqa: S311 - a load, no secret
    kinds, weights = list(KINDS), list(KINDS.values())
    for kind in draw.choices(kinds, weights, k=REQUESTS):
        below = BELOW if kind.startswith("filtered") else None
        yield post(address, "/search", {**search_body(draw.choice(texts), kind, below=below), "log": False})


class SoakRun:
    """The long part: takes what is seen, by the minute, and shows it."""

    def __init__(self, soak: Soak, gauges: Gauges, watched: WatchedChanges, progress: Progress) -> None:
        self._soak = soak
        self._gauges = gauges
        self._watched = watched
        self._progress = progress
        self._bar = progress.add_task("soak", total=round(soak.seconds))
        self._sizes = progress.add_task("memory", total=round(soak.seconds))
        self._sampled = -SAMPLE_SECONDS

    def run(self, plan: LoadPlan) -> None:
        """Ask until the plan ends; a worker that is gone is noted, and the rest goes on."""
        for portion in portions(plan):
            self._take(portion)
            if portion.ended - self._sampled >= SAMPLE_SECONDS:
                self._sampled = portion.ended
                self._sample(portion.ended)

    def _take(self, portion: LoadPortion) -> None:
        minutes, now = self._soak.minutes, time.monotonic()
        if not minutes or now - minutes[-1].began >= MINUTE:
            if minutes and not self._progress.console.is_terminal:
                self._progress.console.print(f"{self._line(minutes[-1])}, {self._memory()}")
            minutes.append(SoakMinute(began=now))
        minutes[-1].searches.add(portion)
        for bar, line in ((self._bar, self._line(minutes[-1])), (self._sizes, self._memory())):
            self._progress.update(bar, completed=round(portion.ended), description=line)

    def _sample(self, at: float) -> None:
        try:
            self._soak.memory.append((at, self._gauges.memory()))
        except httpx.HTTPError as error:
            self._soak.dead.append(f"after {at:.0f} s a worker did not say how it is: {error!r}")

    def _line(self, minute: SoakMinute) -> str:
        """Return how a minute goes, in a line."""
        number, searches = len(self._soak.minutes), minute.searches
        self._soak.observations = self._watched.observations
        seen = self._soak.during(minute, "price change")
        return (
            f"minute {number}: p50 {searches.at(0.5):.0f} p99 {searches.at(0.99):.0f} ms, "
            f"{searches.failed} errors, price p99 {quantile(seen, 0.99) * 1000:.0f} ms"
        )

    def _memory(self) -> str:
        memory = self._soak.memory[-1][1] if self._soak.memory else {}
        return "MB: " + ", ".join(f"{name} {size / MEGABYTE:.0f}" for name, size in memory.items())


def rows(soak: Soak) -> Iterator[ReportRow]:
    """Yield the figures of the whole."""
    searches = soak.whole()
    yield ReportRow("searches", len(searches.latencies), note="all kinds, from when each was due")
    kinds = ", ".join(f"{number} times {kind}" for kind, number in searches.errors.most_common())
    yield ReportRow("search errors", searches.failed + soak.refused, note=kinds)
    for label, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        yield ReportRow(f"search {label}", searches.at(share), "ms")
    for kind, goals in GOALS.items():
        seconds = [one.seconds for one in soak.observations if one.kind == kind and one.seconds is not None]
        for label, share, goal in zip(("p50", "p99"), (0.5, 0.99), goals, strict=True):
            note = f"of {len(seconds)}, publish to seen"
            yield ReportRow(f"{kind} {label}", quantile(seconds, share) * 1000, "ms", goal, note)
    yield ReportRow("changes never seen", soak.unseen)
    written = ", ".join(f"{number:,} {kind}" for kind, number in soak.written.items())
    yield ReportRow("products wrong at the end", len(soak.wrong), note=f"written: {written}")
    yield from _memory(soak)


def _memory(soak: Soak) -> Iterator[ReportRow]:
    for process, growth in soak.growth().items():
        first, last = growth.first / MEGABYTE, growth.last / MEGABYTE
        note = "at the end; bound: after the warm-up"
        yield ReportRow(f"memory of {process}", last, "MB", first, note)
        hourly = [value / MEGABYTE * HOUR for value in (growth.slope, growth.low, growth.high)]
        said = "flat" if growth.flat else "grows"
        said = REMEMBERS if process == REDIS else said
        note = f"95 %: {hourly[1]:+.1f} to {hourly[2]:+.1f}; {said}"
        yield ReportRow(f"growth of {process}", hourly[0], "MB/h", 0.0, note, interval=(hourly[1], hourly[2]))


def minute_rows(soak: Soak) -> Iterator[ReportRow]:
    """Yield the figures of each minute."""
    for number, minute in enumerate(soak.minutes, 1):
        name = f"minute {number}"
        yield ReportRow(f"{name}, search p50", minute.searches.at(0.5), "ms")
        yield ReportRow(f"{name}, search p99", minute.searches.at(0.99), "ms")
        yield ReportRow(f"{name}, search errors", minute.searches.failed)
        for kind in GOALS:
            seconds = soak.during(minute, kind)
            yield ReportRow(f"{name}, {kind} p50", quantile(seconds, 0.5) * 1000, "ms")
            yield ReportRow(f"{name}, {kind} p99", quantile(seconds, 0.99) * 1000, "ms")


def broken(soak: Soak) -> list[str]:
    """Return a sentence for each thing that was wrong; empty: nothing was."""
    searches, sentences = soak.whole(), list(soak.dead[:3])
    if errors := searches.failed + soak.refused:
        kinds = ", ".join(f"{number} times {kind}" for kind, number in searches.errors.most_common())
        sentences.append(f"{errors} searches failed: {kinds or 'those of shoppers who click'}")
    if soak.unseen:
        sentences.append(f"{soak.unseen} changes were never seen")
    if soak.wrong:
        sentences.append(f"{len(soak.wrong)} products are not what was written last, such as {soak.wrong[0]}")
    for process, growth in soak.growth().items():
        if process != REDIS and not growth.flat:
            low, first = (value / MEGABYTE for value in (growth.low * growth.seconds, growth.first))
            minutes = growth.seconds / MINUTE
            sentences.append(
                f"{process} grew from {first:.0f} MB by {low:.1f} at least in {minutes:.0f} minutes"
            )
    return sentences
