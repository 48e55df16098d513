"""The seams between deciding and doing; each Protocol says what it promises."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from schemas.alerts import Alert
from schemas.base import Message
from shared.records import Applied, Batch, Log, Outgoing, Partition, Record

if TYPE_CHECKING:
    from shared.arrays import Vectors

M = TypeVar("M")


class Clock(Protocol):
    """Wall time, passed in so that nothing decides by a hidden clock."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        ...


class Publisher(Protocol):
    """Writes to the bus, durably: idempotent, acknowledged by all in-sync replicas."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Write in order and return when every message is acknowledged.

        Raises `TransientError` when the broker is away (some may have been written), `PoisonError` when a
        message is too large for its topic (those before it may have been written) and `FatalError` when
        nothing can ever be written.
        """
        ...


class AlertSink(Protocol):
    """Where a worker reports a condition that people should know."""

    async def raise_alert(self, alert: Alert) -> None:
        """Publish the alert; returns when it is acknowledged."""
        ...


class PartitionHandler(Protocol[M]):
    """What a worker does with the partitions that the loop reads for it. One call at a time a partition."""

    async def assigned(self, partition: Partition, source: Log) -> int | None:
        """Take the partition's state over (new epoch) and return its next offset; None: from the start.

        Raises `LogReplacedError`, before anything is changed, when the state is of another log of that name.
        """
        ...

    def decode(self, record: Record) -> M:
        """Turn bytes into a message, without I/O; raises `PoisonError` when it can never be used."""
        ...

    async def handle(self, partition: Partition, batch: Batch[M]) -> Applied:
        """Apply the batch and store `batch.next_offset` in one atomic step; durable on return.

        Raises `TransientError` (called again with the same batch), `PoisonError` (called again record
        by record to find the culprit), `RewindError` (`assigned` is asked again where to read on, and what
        was not done of the batch comes again), `FatalError` (the process stops).
        """
        ...

    async def revoked(self, partition: Partition) -> None:
        """Let go of the partition; another worker may already have taken it."""
        ...


class Encoder(Protocol):
    """Text to unit vectors; one model, named by its fingerprint."""

    fingerprint: str
    dimensions: int
    threads: int
    """So many calls may run at once, each in a thread of its own."""
    pass_tokens: int
    """Tokens of the texts in a call that keep the model well occupied; more are split into several passes."""
    document_tokens: int
    """How many tokens of a document it reads, beside its prompt and its own marks."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, all of them, without the model's own marks (blocking)."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> "Vectors":
        """Return one unit float32 row a text, in order (blocking: call it off the event loop)."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> "Vectors":
        """Do the same with the model's query prompt."""
        ...


class PairModel(Protocol):
    """One loaded model, for one caller at a time."""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the query, on a scale of the model's own (blocking)."""
        ...


def outgoing(message: Message, *, topic: str | None = None) -> Outgoing:
    """Return the message ready to be written to its topic (or to `topic`)."""
    return Outgoing(topic=topic or message.topic, key=message.key(), value=message.encode())
