"""`headrace bench load`: a file of products to the broker's acknowledgement, whole, and killed half-way."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import orjson
from rich.progress import Progress

from schemas.catalogue import ProductChange
from services.lab.benchmarks.made_catalogue import vocabulary
from services.lab.report import ReportRow
from shared.infrastructure.stack import Stack
from shared.kafka.client import require_topics
from shared.kafka.offsets import BrokerLog
from shared.kafka.publisher import KafkaPublisher
from shared.kafka.topic_reader import TopicReader
from shared.records import Outgoing, Partition
from shared.settings import Settings, environment

COMMAND = (sys.executable, "-m", "services.cli.main", "load")
TITLE_WORDS = 8
BARE = 100_000
"""Messages that are published with nothing else to do, for the bound."""
AT_ONCE = 500
LOOK_SECONDS = 0.2
KIBI = 1024


@dataclass(frozen=True, slots=True)
class Run:
    """One process of `headrace load`: what it took, and how it ended."""

    code: int
    seconds: float
    cpu: float
    peak: int
    """Bytes of memory, at most."""


class FileLoads:
    """Loads files into one broker, and counts what is then on the topic; close it."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        self._log = BrokerLog(settings)
        self._loop = asyncio.Runner()
        self._partitions = self._loop.run(self._find())

    def close(self) -> None:
        """Disconnect from the broker."""
        self._loop.run(self._log.stop())
        self._loop.close()

    def run(self, file: Path, products: int, *, kill_at: int | None = None) -> Run:
        """Load the file in a process of its own; killed (kill -9) once so many messages were acknowledged."""
        began, before, peak = time.monotonic(), self.messages(), 0
        bar = self._progress.add_task(f"{file.stem}, products", total=products)
        where = {**environment(), "HEADRACE_DATA_DIR": str(self._settings.data_dir)}
        process = subprocess.Popen([*COMMAND, str(file), "--json"], env=where, stdout=subprocess.DEVNULL)
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            written, peak = self.messages() - before, max(peak, _peak(process.pid))
            self._progress.update(bar, completed=written)
            if kill_at is not None and written >= kill_at:
                os.kill(process.pid, signal.SIGKILL)
                ended = os.wait4(process.pid, 0)
                break
            time.sleep(LOOK_SECONDS)
        _, status, used = ended
        process.returncode = os.waitstatus_to_exitcode(status)
        self._progress.update(bar, completed=self.messages() - before)
        seconds, cpu = time.monotonic() - began, used.ru_utime + used.ru_stime
        return Run(process.returncode, seconds, cpu, peak)

    def messages(self) -> int:
        """Return how many messages are on the topic."""
        return sum(self._loop.run(self._log.ends(self._partitions)).values())

    def ids(self) -> tuple[int, int]:
        """Return how many messages there are, and of how many products."""

        async def read() -> tuple[int, int]:
            count, ids = 0, set()
            async with TopicReader(self._settings, [ProductChange.topic]) as reader:
                async for record in reader.news():
                    count += 1
                    ids.add(record.key)
            return count, len(ids)

        return self._loop.run(read())

    async def _find(self) -> list[Partition]:
        counts = await require_topics(self._settings, [ProductChange.topic])
        return [Partition(ProductChange.topic, number) for number in range(counts[ProductChange.topic])]


def _peak(process: int) -> int:
    """Return the most memory that a process has had so far; of its end nothing is known any more.

    What `wait4` says of it counts from before it was another program, when it was ours.
    """
    status = Path(f"/proc/{process}/status").read_text("ascii")
    return sum(int(line.split()[1]) * KIBI for line in status.splitlines() if line.startswith("VmHWM"))


def products_of(name: str, count: int) -> Iterator[dict[str, Any]]:  # Any: values of attributes
    """Yield so many products, some 150 bytes each."""
    words, rng = vocabulary(), Random(name)  # noqa: S311 - a reproducible catalogue, not a secret
    for number in range(count):
        yield {
            "id": f"{name}-{number}",
            "title": " ".join(rng.choices(words, k=TITLE_WORDS)),
            "brand": rng.choice(words).title(),
            "price": round(rng.uniform(1, 500), 2),
            "stock": rng.randrange(100),
        }


def write_products(file: Path, count: int) -> None:
    """Write so many products as JSON lines."""
    with file.open("wb") as lines:
        for product in products_of(file.stem, count):
            lines.write(orjson.dumps(product) + b"\n")


def measure(
    stack: Stack, products: int, *, work: Path, progress: Progress
) -> tuple[list[ReportRow], list[str]]:
    """Return every row of the report, and what was promised and did not hold; empty: all of it held."""
    bare = asyncio.run(_publish_alone(stack.settings, min(BARE, products)))
    files = [work / "whole.jsonl", work / "killed.jsonl"]
    for file in files:
        write_products(file, products)
    with closing(FileLoads(stack.settings, progress)) as loads:
        already = loads.messages()
        whole = loads.run(files[0], products)
        killed = loads.run(files[1], products, kill_at=products // 2)
        again = loads.run(files[1], products)
        count, distinct = loads.ids()
    surplus, missing = count - already - 2 * products, already + 2 * products - distinct
    rows = list(_rows(products, bare, whole, (killed, again)))
    rows.append(ReportRow("written twice after the kill", surplus, note="with the same version: no effect"))
    rows.append(ReportRow("products missing", missing))
    return rows, list(_broken((whole, again), missing))


def _rows(products: int, bare: float, whole: Run, parts: tuple[Run, Run]) -> Iterator[ReportRow]:
    note = f"{products:,} in {whole.seconds:.0f} s; bound: the publisher alone, with as large messages"
    yield ReportRow("file to acknowledgement, products", products / whole.seconds, "1/s", bare, note)
    yield ReportRow("products a CPU-second of the loader", products / whole.cpu, "1/s")
    yield ReportRow("memory of the loader, at most", whole.peak / 1e6, "MB")
    killed, again = parts
    note = f"kill -9 after {killed.seconds:.0f} s, then {again.seconds:.0f} s; bound: the whole one"
    yield ReportRow("killed half-way and gone on", killed.seconds + again.seconds, "s", whole.seconds, note)


def _broken(loads: Sequence[Run], missing: int) -> Iterator[str]:
    for load in loads:
        if load.code:
            yield f"a load ended with exit code {load.code}"
    if missing:
        yield f"{missing} products are missing"


async def _publish_alone(settings: Settings, count: int) -> float:
    """Return how many messages of that size, made beforehand, the publisher has acknowledged a second."""
    messages = [
        Outgoing(
            ProductChange.topic,
            product["id"].encode(),
            orjson.dumps({"product_id": product["id"], "op": "upsert", "version": 1, "fields": product}),
        )
        for product in products_of("bare", count)
    ]
    publisher = KafkaPublisher(settings)
    await publisher.start()
    began, left = time.monotonic(), iter(messages)
    try:
        while portion := list(islice(left, AT_ONCE)):
            await publisher.publish(portion)
    finally:
        await publisher.stop()
    return count / (time.monotonic() - began)
