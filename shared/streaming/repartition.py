"""The home of what a message is about: one partition, whatever partition its producer chose.

Producers disagree on the partition of a key: Java's clients, Debezium and aiokafka take murmur2 of its
bytes, librdkafka CRC32; a connector's key may be JSON, some have none, and partitions are added. State is
kept by what a message is *about* (a product, a query): its home is `partition_of(id, homes)`, and `homes` is
`Settings.partitions`, which an installation keeps for good. What lies elsewhere is forwarded through a
repartition topic (Kafka Streams' word), with where it lay in a header. Read from there, it is the message
that was forwarded, with its own coordinates and time.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import orjson
from msgspec.structs import replace

from schemas.base import EPOCH, MILLISECOND, Coordinates, milliseconds
from schemas.topics import REPARTITION_SUFFIX, repartition_topic
from shared.kafka.partitioning import partition_of
from shared.records import Outgoing, Partition, Record

ORIGIN = "headrace.origin"
"""The header that says where a forwarded message lay: [topic, partition, offset, milliseconds since 1970]."""
ROUTER = "router-"
"""What the names of the loops that forward begin with."""


class Tally(NamedTuple):
    """What was forwarded for one cause: how many, when the last one (ISO 8601), and where that lay."""

    number: int
    last: str
    example: str

    @property
    def moment(self) -> datetime:
        """When the last one was forwarded."""
        return datetime.fromisoformat(self.last)


def router_of(topics: Iterable[str]) -> str:
    """Return the name of the loop that forwards messages of these topics."""
    first, *_ = topics
    return ROUTER + first.partition(".")[0]


def is_router(reader: str) -> bool:
    """Whether the loop of this name forwards messages."""
    return reader.startswith(ROUTER)


def home_of(subject: bytes | None, at: Partition, homes: int) -> int:
    """Return the home of a message about `subject`; of one about nothing that is known, any will do."""
    return at.number % homes if subject is None else partition_of(subject, homes)


def is_forwarded(partition: Partition) -> bool:
    """Whether messages were forwarded to this partition."""
    return partition.topic.endswith(REPARTITION_SUFFIX)


def forwarded(record: Record, home: int) -> Outgoing:
    """Return the record for its home partition: bytes and headers as they are, and where and when it lay."""
    at = record.partition
    origin = orjson.dumps([at.topic, at.number, record.offset, milliseconds(record.timestamp)])
    return Outgoing(
        topic=repartition_topic(at.topic),
        key=record.key,
        value=record.value,
        headers=(*record.headers, (ORIGIN, origin)),
        partition=home,
    )


def original(record: Record) -> Record:
    """Return the record that was forwarded; any other one, and what others wrote there, as it is.

    Only the router of a topic writes to its repartition topic: an origin in another one is not believed.
    """
    if not is_forwarded(record.partition) or not record.headers or record.headers[-1][0] != ORIGIN:
        return record
    try:
        topic, number, offset, moment = orjson.loads(record.headers[-1][1] or b"")
        at, timestamp = (
            Coordinates(topic=topic, partition=number, offset=offset),
            EPOCH + moment * MILLISECOND,
        )
    except (ValueError, TypeError, OverflowError):  # pydantic's error is a ValueError
        return record
    if repartition_topic(at.topic) != record.partition.topic:
        return record
    return replace(
        record,
        partition=Partition(at.topic, at.partition),
        offset=at.offset,
        timestamp=timestamp,
        headers=record.headers[:-1],
    )
