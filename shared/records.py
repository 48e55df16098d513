"""Kafka's nouns as plain values: partitions, records read, messages to write."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from schemas.base import Coordinates

M_co = TypeVar("M_co", covariant=True)

Headers = tuple[tuple[str, bytes], ...]


class Partition(NamedTuple):
    """One partition of one topic; the topic's name is without the configured prefix."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.number}"


@dataclass(frozen=True, slots=True)
class Record:
    """What one read returned, byte for byte; `timestamp` is the producer's (or the broker's) clock."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: datetime
    headers: Headers = ()

    @property
    def coordinates(self) -> Coordinates:
        """Where this record lies."""
        return Coordinates(topic=self.partition.topic, partition=self.partition.number, offset=self.offset)

    def header(self, name: str) -> bytes | None:
        """Return the last header of that name, or None."""
        return next((value for key, value in reversed(self.headers) if key == name), None)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to write; without `partition`, Kafka's murmur2 hash of the key decides."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    timestamp: datetime | None = None


@dataclass(frozen=True, slots=True)
class Batch(Generic[M_co]):
    """Decoded messages of one partition, in order; `next_offset` is the first one after all of them.

    Dead-lettered records are not in `messages`, so a batch may be empty and still move the offset.
    """

    messages: Sequence[tuple[Record, M_co]]
    next_offset: int


@dataclass(frozen=True, slots=True)
class Applied:
    """What a handler did with a batch: `applied + no_op == len(batch.messages)`."""

    applied: int
    no_op: int = 0
