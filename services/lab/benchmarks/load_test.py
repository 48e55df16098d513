"""`headrace bench search --rate`: searches at a rate, held against an objective: a gate of a pipeline."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from rich.progress import Progress

from services.lab.benchmarks.http_load import LoadPlan, LoadPortion
from services.lab.benchmarks.load_run import LoadResult, run
from services.lab.benchmarks.loading import quantile
from services.lab.benchmarks.search_engines import address_of, post, search_body
from services.lab.benchmarks.watched_changes import SeenChange, WatchedChanges
from services.lab.report import ReportRow
from shared.settings import Settings

CONNECTIONS = 256
"""At most so many searches at once; what is due beyond waits, and its waiting counts."""
LATE_MS = 50.0
"""A generator that notices arrivals later than that was short of a core: so were those it asked."""
SAID_SECONDS = 60.0
"""Where no bar is drawn, so often a line says how far it is."""


@dataclass(frozen=True, slots=True)
class LoadObjective:
    """What a load test asks for."""

    rate: float
    """Searches a second."""
    seconds: float
    p99: float
    """Milliseconds that 99 % of the searches may take."""
    poisson: bool = True
    changes: float = 0.0
    """Price changes a second beside it; 0: none, and no product is written."""
    freshness: float | None = None
    """Milliseconds within which 99 % of them must be seen; None: they are only told."""


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """Whom a load test asks, and what."""

    settings: Settings
    """Where its bus is, for the price changes."""
    url: str
    """Of its search API."""
    texts: Sequence[str]
    """Asked in turn."""
    token: str = ""
    log: bool = False
    """Whether the searches count as shoppers'."""


def measure(
    target: LoadTarget, objective: LoadObjective, *, progress: Progress
) -> tuple[LoadResult, list[SeenChange]]:
    """Ask at that rate for so long; raises `ConfigurationError` for an address that is none of ours."""
    address = address_of(target.url)
    bodies = [{**search_body(text), "log": target.log} for text in target.texts]
    plan = LoadPlan(
        *address,
        tuple(post(address, "/search", body, token=target.token) for body in bodies),
        b'"partial":false',
        clients=CONNECTIONS,
        seconds=objective.seconds,
        rate=objective.rate,
        poisson=objective.poisson,
    )
    with ExitStack() as stack:
        changes: WatchedChanges | None = None
        if objective.changes:
            changes = WatchedChanges(target.settings, target.url, rate=objective.changes, token=target.token)
            stack.enter_context(changes)
        result = run(plan, LoadProgress(progress, objective.seconds).show)
    if changes is None:
        return result, []
    if changes.failure is not None:
        raise changes.failure
    return result, changes.observations


class LoadProgress:
    """Shows a load while it runs: a bar of its seconds, and what the last ones were like."""

    def __init__(self, progress: Progress, seconds: float) -> None:
        self._progress = progress
        self._bar = progress.add_task("load", total=round(seconds))
        self._said = time.monotonic()
        self._recent = LoadResult()

    def show(self, portion: LoadPortion) -> None:
        """Take a portion in, and show how it went."""
        self._recent.add(portion)
        line = (
            f"{len(self._recent.latencies):,} searches, p50 {self._recent.at(0.5):.1f} "
            f"p99 {self._recent.at(0.99):.1f} ms, {self._recent.failed} errors"
        )
        self._progress.update(self._bar, completed=round(portion.ended), description=line)
        if time.monotonic() - self._said > SAID_SECONDS:
            if not self._progress.console.is_terminal:
                self._progress.console.print(f"{portion.ended:.0f} s: {line}")
            self._said, self._recent = time.monotonic(), LoadResult()


def rows(
    result: LoadResult, observations: Sequence[SeenChange], objective: LoadObjective
) -> Iterator[ReportRow]:
    """Yield the report; bounds are what was asked for."""
    arrivals = "at random" if objective.poisson else "evenly"
    yield ReportRow("searches a second", result.rate, "1/s", objective.rate, f"good ones; due {arrivals}")
    yield ReportRow("search p50", result.at(0.5), "ms", note="from when it was due")
    yield ReportRow("search p99", result.at(0.99), "ms", objective.p99, "bound: the objective")
    yield ReportRow("search p99.9", result.at(0.999), "ms")
    yield ReportRow("longest search", result.at(1.0), "ms")
    yield ReportRow("errors", result.failed, note=_kinds(result))
    seen = [one.seconds for one in observations if one.seconds is not None]
    if observations:
        note = f"of {len(seen)}, publish to seen"
        yield ReportRow("price change p50", quantile(seen, 0.5) * 1000, "ms", note=note)
        yield ReportRow("price change p99", quantile(seen, 0.99) * 1000, "ms", objective.freshness, note)
        yield ReportRow("price changes never seen", len(observations) - len(seen))
    yield ReportRow("load generator", result.generator_ms, "ms", note="its CPU a search")
    yield ReportRow("load generator late", result.late * 1000, "ms", note="at most; it shares the cores")


def broken(result: LoadResult, observations: Sequence[SeenChange], objective: LoadObjective) -> list[str]:
    """Return a sentence for each objective that was missed; empty: all were met."""
    sentences = []
    if result.failed or not result.latencies:
        sentences.append(f"{result.failed} of {result.answered} searches failed: {_kinds(result)}")
    if (p99 := result.at(0.99)) > objective.p99:
        sentences.append(f"99 % of the searches took {p99:.1f} ms, more than {objective.p99:g}")
    seen = [one.seconds for one in observations if one.seconds is not None]
    if len(seen) < len(observations):
        sentences.append(f"{len(observations) - len(seen)} price changes were never seen")
    fresh = quantile(seen, 0.99) * 1000
    if objective.freshness is not None and fresh > objective.freshness:
        sentences.append(f"99 % of the price changes took {fresh:.0f} ms, more than {objective.freshness:g}")
    if sentences and result.late * 1000 > LATE_MS:
        late = result.late * 1000
        sentences.append(f"the load generator itself was up to {late:.0f} ms late: it lacked a core, too")
    return sentences


def _kinds(result: LoadResult) -> str:
    return ", ".join(f"{number} times {kind}" for kind, number in result.errors.most_common())
