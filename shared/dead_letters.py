"""Messages that can never be used go to `<topic>.dlq` byte for byte, with their reason in the headers.

The ten `__connect.errors.*` headers are Kafka Connect's (KIP-298), so that tools made for Connect's
dead letters read ours; `headrace.reason` is the short stable code. A connector is what reads (a worker's
loop, such as `headrace-embedder-g1`), its class the one that could not use the message.
"""

import traceback

from schemas.topics import DEAD_LETTER_SUFFIX
from shared.errors import PoisonError
from shared.ports import Publisher
from shared.records import Headers, Outgoing, Record

PREFIX = "__connect.errors."
REASON = "headrace.reason"
MAX_STACKTRACE = 4096


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
        "exception.message": str(error),
        "exception.stacktrace": trace,
    }
    connect = tuple((PREFIX + name, value.encode()) for name, value in values.items())
    return (*record.headers, *connect, (REASON, error.reason.encode()))


def original(letter: Headers) -> Headers:
    """Return the headers that the message had before it was dead-lettered."""
    return tuple((name, value) for name, value in letter if not name.startswith(PREFIX) and name != REASON)


class DeadLetters:
    """Writes to `<topic>.dlq`, acknowledged before it returns."""

    def __init__(self, publisher: Publisher, *, reader: str, by: type) -> None:
        self._publisher = publisher
        self._reader = reader
        self._by = by

    async def write(self, record: Record, error: PoisonError) -> None:
        """Write the record whole; raises what `Publisher.publish` raises."""
        letter = Outgoing(
            topic=record.partition.topic + DEAD_LETTER_SUFFIX,
            key=record.key,
            value=record.value,
            headers=headers(record, error, reader=self._reader, by=self._by),
        )
        await self._publisher.publish([letter])
