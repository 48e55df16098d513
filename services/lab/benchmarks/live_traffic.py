"""Changes that go on beside a long measurement, each watched until search shows it."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple, Self

from headrace.search_api import AsyncSearchClient
from schemas.catalogue import ProductChange
from schemas.index import AttributeRecord, read_record
from schemas.topics import index_records
from schemas.wire.stamps import STATED
from services.lab.benchmarks.freshness import GOALS, Ages, Probe
from shared.clock import SystemClock
from shared.errors import TransientError
from shared.kafka.publisher import KafkaPublisher
from shared.kafka.tail import TailingConsumer
from shared.records import Record
from shared.settings import Settings

LIFE_SECONDS = 2.0
"""From one new product to the next; each is then repriced, and deleted."""


class _Expected(NamedTuple):
    """A price change whose record is to come."""

    phase: str
    version: int
    since: float


class LiveTraffic(threading.Thread):
    """Reprices `watched` products in turn at a steady rate, and beside that writes and deletes others."""

    def __init__(self, settings: Settings, url: str, watched: Sequence[str], *, rate: float) -> None:
        super().__init__(daemon=True)
        self.ages: defaultdict[str, Ages] = defaultdict(Ages)
        """By phase; a change counts for the phase in which it was written."""
        self.phase = ""
        self.late: defaultdict[str, int] = defaultdict(int)
        """By phase, changes that were never seen."""
        self.recorded: defaultdict[str, list[float]] = defaultdict(list)
        """By phase, seconds from publish to the record of a price change: the embedder's part."""
        self._expected: dict[str, _Expected] = {}
        self.written = 0
        """Messages that were sent."""
        self.failure: BaseException | None = None
        self._settings = settings
        self._url = url
        self._watched = watched
        self._rate = rate
        self._ending = threading.Event()

    def __enter__(self) -> Self:
        """Begin."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End with the changes under way."""
        self._ending.set()
        self.join()

    def run(self) -> None:
        """Write and watch until it is told to end."""
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - for whoever measures
            self.failure = error

    async def _run(self) -> None:
        publisher = KafkaPublisher(self._settings)
        records = TailingConsumer(self._settings, index_records(self._settings.generation).name, self.take)
        await publisher.start()
        await records.start()
        try:
            async with AsyncSearchClient(self._url) as client:
                probe = Probe(client, publisher, ["lamp", "sofa", "kettle"])
                await asyncio.gather(self._prices(probe), self._lives(probe))
        finally:
            await records.stop()
            await publisher.stop()

    def expect(self, product_id: str, version: int, phase: str) -> None:
        """Note that a price change was written, whose record is to come."""
        self._expected[product_id] = _Expected(phase, version, asyncio.get_running_loop().time())

    def take(self, record: Record) -> None:
        """Note how long a price change took to be a record of the live generation."""
        written = read_record(record.value) if record.value else None
        if not isinstance(written, AttributeRecord):
            return
        expected = self._expected.get(written.product_id)
        if expected is not None and _version(written) >= expected.version:
            del self._expected[written.product_id]
            self.recorded[expected.phase].append(asyncio.get_running_loop().time() - expected.since)

    async def _prices(self, probe: Probe) -> None:
        """Write a change whenever one is due, however long those before it take."""
        loop, clock = asyncio.get_running_loop(), SystemClock()
        began, under_way = loop.time(), set[asyncio.Task[None]]()
        for number in count():
            await asyncio.sleep(max(0.0, began + number / self._rate - loop.time()))
            if self._ending.is_set():
                break
            now = clock.now()
            change = ProductChange(
                product_id=self._watched[number % len(self._watched)],
                op="patch",
                version=int(now.timestamp() * 1000),
                event_time=now,
                fields={"price": number + 0.5},
            )
            task = asyncio.create_task(self._price(probe, change))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)

    async def _price(self, probe: Probe, change: ProductChange) -> None:
        phase, self.written = self.phase, self.written + 1
        self.expect(change.product_id, change.version or 0, phase)
        try:
            await probe.reprice(change, self.ages[phase])
        except TransientError:
            self.late[phase] += 1

    async def _lives(self, probe: Probe) -> None:
        loop = asyncio.get_running_loop()
        for number in count():
            if self._ending.is_set():
                break
            phase, next_life = self.phase, loop.time() + LIFE_SECONDS
            self.written += len(GOALS)
            try:
                await probe.life(number, self.ages[phase])
            except TransientError:
                self.late[phase] += 1
            await asyncio.sleep(max(0.0, next_life - loop.time()))


def _version(record: AttributeRecord) -> int:
    """Return the version of the last stated change that the record says."""
    stated = [revision.version[0] for revision in record.changes.revisions if revision.line == STATED]
    return max(stated, default=-1)
