"""What the members of a cluster announce of what they work on; plain values, for those who decide by them."""

from schemas.base import Fingerprint, Timestamp, Value


class Heartbeat(Value):
    """What one process says of one partition that it works on."""

    instance: str
    partition: int
    partitions: int
    """How many there are, so that those that nobody has can be told."""
    end_offset: int
    updated_at: Timestamp

    @property
    def name(self) -> str:
        """What tells it from the others of its kind."""
        return f"{self.partition}@{self.instance}"


class ReaderRecord(Heartbeat):
    """A partition of a hot topic that a loop reads; `next_offset` is None while its state is taken over."""

    topic: str
    next_offset: int | None
    uncommitted: int = 0
    """How many offsets lie behind `end_offset`, held up by a transaction that a producer has not ended."""

    @property
    def name(self) -> str:
        """What tells it from the others of its kind."""
        return f"{self.topic}-{super().name}"


class OwnerRecord(Heartbeat):
    """A shard that an owner serves; times in seconds, `documents` are live ones."""

    url: str
    epoch: int
    next_offset: int
    ready: bool
    fingerprint: Fingerprint | None = None
    dimensions: int | None = None
    documents: int = 0
    segments: int | None = None
    """Parts that its index consists of now; None: an owner of an older release."""
    freshness_p50: float | None = None
    """From the event times of the changes to searchable: old for what was imported."""
    freshness_p99: float | None = None
    ingestion_p50: float | None = None
    """From the broker's append of the changes to searchable."""
    ingestion_p99: float | None = None

    @property
    def name(self) -> str:
        """What tells it from the others of its kind."""
        return f"{self.partition}@{self.url}"
