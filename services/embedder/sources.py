"""Sources that were accepted anew, and where in the logs of a home that begins to matter."""

from datetime import timedelta
from typing import Protocol

from schemas.base import MILLISECOND
from schemas.catalogue import StampedChange
from shared.catalogue.acceptances import Acceptances
from shared.kafka.offsets import BrokerLog
from shared.records import Partition
from shared.streaming.acceptance_log import AcceptanceLog
from shared.streaming.loop import PartitionLoop
from shared.streaming.repartition import is_forwarded

CLOCKS_APART = timedelta(minutes=5)
"""A forwarded message is appended after its original, but by the clock of another broker, perhaps."""


class AcceptedSources(Protocol):
    """What is known of them, and the clock of the logs."""

    @property
    def known(self) -> Acceptances:
        """Return all acceptances that there are, as of a moment ago."""
        ...

    async def offset_at(self, partition: Partition, moment: int) -> int | None:
        """Return the first offset appended then (milliseconds since 1970) or later; None: nothing was.

        Raises `TransientError` when the broker is away.
        """
        ...


class BusSources:
    """The `AcceptedSources` on a broker."""

    def __init__(self, acceptances: AcceptanceLog, broker: BrokerLog) -> None:
        self._acceptances = acceptances
        self.offset_at = broker.offset_at

    @property
    def known(self) -> Acceptances:
        """Return all acceptances that there are, as of a moment ago."""
        return self._acceptances.known


async def first_affected(
    sources: AcceptedSources, partition: Partition, acceptances: Acceptances
) -> int | None:
    """Return the first offset at which a change may lie that one of them covers; None: there is none."""
    since = min(accepted.since for accepted in acceptances)
    if is_forwarded(partition):
        since -= CLOCKS_APART // MILLISECOND
    return await sources.offset_at(partition, max(0, since))


class Rewinding:
    """The component that has a loop read again when a source was accepted anew."""

    def __init__(self, acceptances: AcceptanceLog, loop: PartitionLoop[StampedChange | None]) -> None:
        self._acceptances = acceptances
        self._loop = loop

    async def start(self) -> None:
        """Listen."""
        self._acceptances.listeners.add(self._tell)

    async def stop(self) -> None:
        """Listen no longer."""
        self._acceptances.listeners.discard(self._tell)

    def _tell(self) -> None:
        self._loop.rewind("a source was accepted anew")
