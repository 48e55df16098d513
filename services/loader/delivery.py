"""Messages to the bus, in order and acknowledged: a few at a time, as fast as the broker takes them."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import NamedTuple, Protocol

from services.loader.domain.rows import NOT_FOR_SALE, LineFault
from services.loader.resume import LoadCheckpoint
from shared.errors import TransientError
from shared.ports import Publisher
from shared.records import Outgoing

AT_ONCE = 1000
"""Units of a batch."""
BYTES_AT_ONCE = 2 * 1024 * 1024
RETRY = 1.0
"""Seconds."""


class Made(NamedTuple):
    """What a unit became: messages, and what is wrong with it."""

    line: int
    messages: Sequence[Outgoing] = ()
    faults: Sequence[LineFault] = ()
    rows: int = 1
    """So many rows of the file it is."""
    passed: bool = False
    """It is not meant to be loaded."""

    @classmethod
    def of(cls, fault: LineFault) -> "Made":
        """Return what becomes of a line that is no row."""
        return cls(fault.line, (), (fault,), rows=0, passed=fault.reason == NOT_FOR_SALE)


@dataclass(slots=True)
class LoadTally:
    """What became of the units (rows, and lines that are none) so far."""

    units: int = 0
    loaded: int = 0
    """Rows that were written."""
    lost: int = 0
    """Lines that were not."""
    flawed: int = 0
    """Values that were left out, and the like, of rows that were written."""
    passed: int = 0
    """Rows that are not meant to be loaded."""
    line: int = 0
    published: int = 0

    def count(self, made: Made) -> None:
        """Count a unit."""
        self.units += 1
        self.line = max(self.line, made.line)
        lost = any(fault.lost for fault in made.faults)
        self.lost += lost
        self.passed += made.passed
        if not made.passed:
            self.loaded += 0 if lost else made.rows
            self.flawed += sum(not fault.lost for fault in made.faults)

    def add(self, other: "LoadTally") -> None:
        """Add what came of further units."""
        self.units += other.units
        self.loaded += other.loaded
        self.lost += other.lost
        self.flawed += other.flawed
        self.passed += other.passed
        self.published += other.published
        self.line = other.line


@dataclass(slots=True)
class Portion:
    """What came of some units, one after the other."""

    messages: list[Outgoing] = field(default_factory=list)
    faults: list[LineFault] = field(default_factory=list)
    tally: LoadTally = field(default_factory=LoadTally)


class DeliveryObserver(Protocol):
    """Who shows a load while it runs."""

    def faults(self, faults: Sequence[LineFault]) -> None:
        """Take what is wrong with lines of the file that is read."""
        ...

    def advanced(self, tally: LoadTally) -> None:
        """Take how far the file is that is read; what the tally has is acknowledged."""
        ...

    def waiting(self, reason: str) -> None:
        """Take why the broker takes nothing at the moment."""
        ...


def batches(units: Iterator[Made], *, skip: int = 0) -> Iterator[Portion]:
    """Yield what units became; without the messages of the first `skip`."""
    while True:
        batch, size = Portion(), 0
        for made in islice(units, AT_ONCE):
            batch.tally.count(made)
            batch.faults += made.faults
            if skip > 0:
                skip -= 1
                continue
            batch.messages += made.messages
            size += sum(len(message.value or b"") for message in made.messages)
            if size > BYTES_AT_ONCE:
                break
        if not batch.tally.units:
            return
        batch.tally.published = len(batch.messages)
        yield batch


class Delivery:
    """Publishes batches one by one; while the broker takes one, the next is read."""

    def __init__(self, publisher: Publisher, observer: DeliveryObserver, *, wait: timedelta) -> None:
        self._publisher = publisher
        self._observer = observer
        self._wait = wait.total_seconds()

    async def deliver(self, units: Iterator[Made], before: int, at: LoadCheckpoint) -> LoadTally:
        """Publish what units become, and return what became of them; `before` of others are done.

        What is acknowledged is kept `at` the checkpoint, and what it has is not written again. Raises
        `TransientError` when the broker acknowledges nothing for too long.
        """
        loop, total = asyncio.get_running_loop(), LoadTally()
        portions = batches(units, skip=at.state.done - before)
        portion = await asyncio.to_thread(next, portions, None)
        while portion is not None:
            self._observer.faults(portion.faults)
            sending = asyncio.create_task(self.publish(portion.messages))
            try:
                following = await asyncio.to_thread(next, portions, None)
            finally:
                await sending
            total.add(portion.tally)
            at.reach(before + total.units, now=loop.time())
            self._observer.advanced(total)
            portion = following
        at.flush()
        return total

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish a few messages, again and again if need be; what is written twice is the same change."""
        if not messages:
            return
        reason = "the broker does not acknowledge"
        try:
            async with asyncio.timeout(self._wait):
                while True:
                    try:
                        await self._publisher.publish(messages)
                    except TransientError as error:
                        reason = str(error)
                        self._observer.waiting(reason)
                        await asyncio.sleep(RETRY)
                    else:
                        return
        except TimeoutError as error:
            since = f"nothing was acknowledged for {self._wait:.0f} s"
            raise TransientError(f"{reason}; {since}: the same command goes on from there") from error
