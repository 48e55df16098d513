"""A fresh installation to measure, and what its workers and its Redis say they have done and used."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from uuid import uuid4

import httpx
from prometheus_client.parser import text_string_to_metric_families

from services.lab.verification.conservation import HANDLED
from shared.errors import TransientError
from shared.infrastructure.ladder import Rung, choose_broker, choose_redis
from shared.infrastructure.stack import Stack
from shared.infrastructure.workers import WorkerSpec
from shared.kafka.publisher import KafkaPublisher
from shared.records import Outgoing
from shared.settings import Settings, environment
from shared.state.redis import connect
from shared.streaming.repartition import is_router

READY = timedelta(minutes=5)
PORTION = 500
POLL_SECONDS = 0.25
"""Asked more often, reading the metrics would be part of the load."""
STALLED_SECONDS = 120.0
"""Work that makes no progress for so long has failed."""
REDIS = "valkey"

STAGE_CPU, STAGE = "headrace_stage_cpu_seconds_total", "stage: "
RESIDENT = "process_resident_memory_bytes"
Totals = Mapping[str, float]
"""Sum over all labels of each series of one worker."""


@contextmanager
def fresh(
    kinds: Sequence[str], broker: Rung | None, settings_of_workers: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Stack]:
    """Give an installation that nothing has ever been written to; it is removed afterwards.

    Workers take `settings_of_workers` from their environment, beside ours. Of a kind that is named several
    times there are several: `embedder`, `embedder-2`.

    On servers that others use too (the first rung of the ladder) its names are its own.
    """
    name = f"bench-{uuid4().hex[:8]}"
    with TemporaryDirectory(prefix="headrace-bench-") as directory:
        data_dir, env = Path(directory), environment()
        settings = Settings.load(data_dir=data_dir, namespace=name, topic_prefix=f"{name}.")
        stack = Stack(
            settings,
            broker=choose_broker(env, rung=broker, data_dir=data_dir / "broker"),
            redis=choose_redis(env, data_dir=data_dir / "valkey"),
            workers=[
                WorkerSpec(kind, name=_name(kinds, number), environment=settings_of_workers)
                for number, kind in enumerate(kinds)
            ],
        )
        with stack:
            stack.wait_ready(within=READY)
            yield stack


def _name(kinds: Sequence[str], number: int) -> str:
    """Return what a worker is called: its kind, with a number from the second one on."""
    before = kinds[:number].count(kinds[number])
    return f"{kinds[number]}-{before + 1}" if before else kinds[number]


def totals(page: str) -> dict[str, float]:
    """Return each counter and gauge of a `/metrics` page, summed over its labels, routers left out.

    Beside the sum, CPU by stage has an entry a stage (`stage_cpu` says of which).
    """
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        if family.type in {"counter", "gauge"}:
            for sample in family.samples:
                if is_router(sample.labels.get("reader", "")):
                    continue  # it looks at messages that others are then done with
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
                if sample.name == STAGE_CPU:
                    name = STAGE + sample.labels["stage"]
                    sums[name] = sums.get(name, 0.0) + sample.value
    return sums


def handled(counted: Totals) -> float:
    """Return how many messages a worker is done with, whatever became of them."""
    return sum(counted.get(f"headrace_{name}_total", 0.0) for name in HANDLED)


@dataclass(frozen=True, slots=True)
class Moment:
    """What every worker had counted and what CPU it had used at some time."""

    time: float
    counted: Mapping[str, Totals]
    cpu: Mapping[str, float]
    """CPU-seconds of each worker, and of Redis."""

    def used_since(self, before: "Moment") -> dict[str, float]:
        """Return the CPU-seconds that each process used in between."""
        return {name: used - before.cpu.get(name, 0.0) for name, used in self.cpu.items()}

    def stages_since(self, before: "Moment") -> dict[str, dict[str, float]]:
        """Return the CPU-seconds of each stage of each worker that says them, the largest first."""
        stages = {
            worker: {
                name.removeprefix(STAGE): self.count_since(before, worker, name)
                for name in counted
                if name.startswith(STAGE)
            }
            for worker, counted in self.counted.items()
        }
        return {
            worker: dict(sorted(used.items(), key=lambda item: -item[1]))
            for worker, used in stages.items()
            if used
        }

    def count_since(self, before: "Moment", worker: str, series: str) -> float:
        """Return by how much a counter grew."""
        return self.counted[worker].get(series, 0.0) - before.counted[worker].get(series, 0.0)

    def handled_since(self, before: "Moment", worker: str) -> float:
        """Return how many messages a worker was done with in between."""
        return handled(self.counted[worker]) - handled(before.counted[worker])


class Gauges:
    """Reads moments of one installation."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._client = httpx.Client(timeout=30, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def now(self) -> Moment:
        """Return the present moment of every worker."""
        moment = time.monotonic()
        counted = {name: self.of(name) for name in self._stack.ports}
        cpu = {name: series.get("process_cpu_seconds_total", 0.0) for name, series in counted.items()}
        return Moment(moment, counted, {**cpu, REDIS: redis_cpu(self._stack.settings)})

    def of(self, worker: str) -> dict[str, float]:
        """Return what one worker has counted."""
        return totals(self._client.get(f"{self._stack.url(worker)}/metrics").raise_for_status().text)

    def handled(self, kind: str) -> float:
        """Return how many messages all workers of a kind are done with."""
        return sum(handled(self.of(name)) for name in self._stack.ports if name.split("-")[0] == kind)

    def memory(self) -> dict[str, float]:
        """Return the bytes that each worker, and Redis, has in memory."""
        workers = {name: self.of(name).get(RESIDENT, 0.0) for name in self._stack.ports}
        return {**workers, REDIS: _redis_info(self._stack.settings, "memory")["used_memory_rss"]}

    def wait(self, worker: str, enough: Callable[[Totals], bool], show: Callable[[Totals], None]) -> None:
        """Return once `enough` holds of what the worker counts; raises `TransientError` when it stalls."""
        last, moved = -1.0, time.monotonic()
        while True:
            counted = self.of(worker)
            show(counted)
            if enough(counted):
                return
            if (done := handled(counted)) != last:
                last, moved = done, time.monotonic()
            if time.monotonic() - moved > STALLED_SECONDS:
                end = self._stack.tail(worker)
                raise TransientError(
                    f"{worker} did nothing for {STALLED_SECONDS:g} s; the end of its log:\n{end}"
                )
            time.sleep(POLL_SECONDS)


def redis_cpu(settings: Settings) -> float:
    """Return the CPU-seconds that Redis has used since it began."""
    usage = _redis_info(settings, "cpu")
    return usage["used_cpu_user"] + usage["used_cpu_sys"]


def _redis_info(settings: Settings, section: str) -> dict[str, float]:
    """Return the figures of a section of Redis' INFO."""

    async def ask() -> dict[str, object]:
        redis = connect(settings)
        try:
            return dict(await redis.info(section))
        finally:
            await redis.aclose()

    figures = asyncio.run(ask())
    return {name: float(figure) for name, figure in figures.items() if isinstance(figure, int | float)}


def write(settings: Settings, messages: Sequence[Outgoing], show: Callable[[int], None]) -> float:
    """Write messages as fast as they are acknowledged; returns when (monotonic) the first was sent."""

    async def run() -> float:
        publisher = KafkaPublisher(settings)
        await publisher.start()
        try:
            began = time.monotonic()
            for start in range(0, len(messages), PORTION):
                await publisher.publish(messages[start : start + PORTION])
                show(min(start + PORTION, len(messages)))
        finally:
            await publisher.stop()
        return began

    return asyncio.run(run())
