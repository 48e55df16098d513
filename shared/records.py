"""Kafka's nouns as plain values: partitions, records read, messages to write."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

import msgspec

from schemas.base import Coordinates

M_co = TypeVar("M_co", covariant=True)

Headers = tuple[tuple[str, bytes | None], ...]

HEAD_BYTES = 64 * 1024
"""So much is kept of what is too long to be kept whole."""


class Partition(NamedTuple):
    """One partition of one topic; the topic's name is without the configured prefix."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.number}"


class Log(NamedTuple):
    """Which of the topics that there were under one name is read."""

    identity: str = ""
    """Empty: the broker cannot say."""
    replaces: str = ""
    """The identity that a state may have instead: it is then continued from the beginning of this log."""


UNKNOWN_LOG = Log()


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A part of a record (`key`, `value`, `headers`), or what it lay in, of which only the head is there."""

    part: str
    size: int
    """Bytes of the whole."""
    sha256: str
    """Of the whole, hexadecimal."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Why a record is not here as it was written: `reason` is a stable code, as of a `PoisonError`."""

    reason: str
    explanation: str
    excerpts: tuple[Excerpt, ...] = ()


class Record(msgspec.Struct, frozen=True, gc=False):
    """What one read returned, byte for byte.

    Where that could not be, `damage` says what is missing, and nothing of it may be used.
    """

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: datetime
    """When it was written: as the broker says when `appended`, else as the producer claims, up to now."""
    headers: Headers = ()
    appended: bool = False
    damage: Damage | None = None

    @property
    def coordinates(self) -> Coordinates:
        """Where this record lies."""
        topic, number = self.partition
        return Coordinates.unchecked({"topic": topic, "partition": number, "offset": self.offset})

    def header(self, name: str) -> bytes | None:
        """Return the last header of that name, or None."""
        return next((value for key, value in reversed(self.headers) if key == name), None)


class Outgoing(msgspec.Struct, frozen=True, gc=False):
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
    """What a handler did with a batch: the first three add up to `len(batch.messages)`."""

    applied: int
    no_op: int = 0
    forwarded: int = 0
    """Left to the reader of another partition, or sent there."""
    older: int = 0
    """How many of `no_op` were older than what is known, and no repetition of it."""

    def __add__(self, other: "Applied") -> "Applied":
        """Return what was done with both."""
        return Applied(
            self.applied + other.applied,
            self.no_op + other.no_op,
            self.forwarded + other.forwarded,
            self.older + other.older,
        )

    @property
    def total(self) -> int:
        """How many messages are accounted for."""
        return self.applied + self.no_op + self.forwarded
