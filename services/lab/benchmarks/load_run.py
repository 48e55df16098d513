"""Runs a load in a process of its own, and says what came of it."""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from services.lab.benchmarks.http_load import LoadPlan, LoadPortion, generate
from services.lab.benchmarks.loading import quantile
from shared.errors import TransientError

PATIENCE_SECONDS = 60.0
"""A generator that says nothing for so long is gone."""


@dataclass(slots=True)
class LoadResult:
    """What came of a load, whole or of a stretch of it."""

    latencies: list[float] = field(default_factory=list)
    """Seconds of the good answers."""
    errors: Counter[str] = field(default_factory=Counter)
    """How many of each kind."""
    seconds: float = 0.0
    cpu: float = 0.0
    """CPU-seconds of the generator."""
    late: float = 0.0
    """The most seconds by which the generator itself noticed an arrival too late."""

    def add(self, portion: LoadPortion) -> None:
        """Take a portion in."""
        self.latencies += portion.latencies
        self.errors += portion.errors
        self.seconds, self.cpu = portion.ended, portion.cpu
        self.late = max(self.late, portion.late)

    def at(self, share: float) -> float:
        """Return that quantile of the good answers in milliseconds; 0 of none."""
        return quantile(self.latencies, share) * 1000

    @property
    def answered(self) -> int:
        """How many answers there were, good or not."""
        return len(self.latencies) + self.failed

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    @property
    def failed(self) -> int:
        """How many were no good answer."""
        return sum(self.errors.values())

    @property
    def generator_ms(self) -> float:
        """CPU-milliseconds of the generator an answer."""
        return self.cpu * 1000 / max(1, self.answered)


def run(plan: LoadPlan, show: Callable[[LoadPortion], None] = lambda _: None) -> LoadResult:
    """Run the load in a process of its own; `show` gets a portion a second.

    Raises `TransientError` when nobody listens there, or the process ends before the load does.
    """
    result = LoadResult()
    for portion in portions(plan):
        result.add(portion)
        show(portion)
    return result


def portions(plan: LoadPlan) -> Iterator[LoadPortion]:
    """Yield what a process of its own sees, a portion a second; closing the iterator ends it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=generate, args=(plan, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        while True:
            if not ours.poll(PATIENCE_SECONDS):
                raise TransientError(f"the load generator said nothing for {PATIENCE_SECONDS:g} s")
            portion: LoadPortion | str = ours.recv()
            if isinstance(portion, str):
                raise TransientError(portion)
            yield portion
            if portion.last:
                return
    except EOFError:
        raise TransientError("the load generator ended before the load did") from None
    finally:
        process.terminate()
        process.join()
        ours.close()
