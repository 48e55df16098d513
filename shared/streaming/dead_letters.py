"""Messages that can never be used go to `<topic>.dlq` byte for byte, with their reason in the headers.

The ten `__connect.errors.*` headers are Kafka Connect's (KIP-298), so that tools made for Connect's
dead letters read ours; `headrace.reason` is the short stable code. A connector is what reads (a worker's
loop, such as `headrace-embedder-g1`), its class the one that could not use the message.

What is too large for a letter is dead-lettered in part: the heads of its long parts, and in `headrace.cut`
how long each was and its SHA-256. It cannot be replayed from there, only from where it lies.
"""

import traceback

from schemas.topics import DEAD_LETTER_SUFFIX, LETTER_BYTES, REPARTITION_SUFFIX
from shared.errors import PoisonError
from shared.kafka.publisher import weight
from shared.ports import Publisher
from shared.records import Headers, Outgoing, Record
from shared.streaming import excerpts, repartition

PREFIX = "__connect.errors."
REASON = "headrace.reason"
MAX_STACKTRACE = MAX_MESSAGE = 4096
WHOLE_BYTES = LETTER_BYTES * 98 // 100
"""A letter that is no longer fits, also when compression makes it a little longer."""


def headers(record: Record, error: PoisonError, *, reader: str, by: type) -> Headers:
    """Return the ten Connect headers and the reason code for one record."""
    trace = "".join(traceback.format_exception(error))[-MAX_STACKTRACE:]
    values = {
        "topic": record.partition.topic,
        "partition": str(record.partition.number),
        "offset": str(record.offset),
        "connector.name": f"headrace-{reader}",
        "task.id": str(record.partition.number),
        "stage": "VALUE_CONVERTER",
        "class.name": f"{by.__module__}.{by.__qualname__}",
        "exception.class.name": type(error).__name__,
        "exception.message": str(error)[:MAX_MESSAGE],
        "exception.stacktrace": trace,
    }
    connect = tuple((PREFIX + name, value.encode(errors="replace")) for name, value in values.items())
    return (*record.headers, *connect, (REASON, error.reason.encode()))


def original(letter: Headers) -> Headers:
    """Return the headers that the message had before it was dead-lettered (the last time)."""
    names = [name for name, _ in letter]
    first_of_ours = PREFIX + "topic"
    if first_of_ours not in names:
        return letter
    return letter[: len(names) - 1 - names[::-1].index(first_of_ours)]


class DeadLetters:
    """Writes to `<topic>.dlq`, acknowledged before it returns."""

    def __init__(self, publisher: Publisher, *, reader: str, by: type) -> None:
        self._publisher = publisher
        self._reader = reader
        self._by = by

    async def write(self, record: Record, error: PoisonError) -> None:
        """Write the record as it was before it was forwarded, whole or the heads of its parts.

        Raises what `publish` raises.
        """
        record = repartition.original(record)
        known = excerpts.header(record.damage.excerpts if record.damage else ())
        whole = self._letter(record, error, known)
        if weight(whole) <= WHOLE_BYTES and await self._taken(whole):
            return
        part, cut = excerpts.shortened(record)
        await self._publisher.publish([self._letter(part, error, excerpts.header(cut))])

    async def _taken(self, letter: Outgoing) -> bool:
        """Write it; False: the topic takes less than it should."""
        try:
            await self._publisher.publish([letter])
        except PoisonError:
            return False
        return True

    def _letter(self, record: Record, error: PoisonError, cut: Headers) -> Outgoing:
        return Outgoing(
            topic=record.partition.topic.removesuffix(REPARTITION_SUFFIX) + DEAD_LETTER_SUFFIX,
            key=record.key,
            value=record.value,
            headers=headers(record, error, reader=self._reader, by=self._by) + cut,
        )
