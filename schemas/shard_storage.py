"""What a shard has on its owner's disk, for operators: `GET /stored` of the shards worker."""

from typing import Annotated

from pydantic import Field

from schemas.base import GenerationName, Offset, Timestamp, Value
from schemas.search_api import Count


class StoredCheckpoint(Value):
    """One state that could be opened: what its manifest says of it."""

    manifest: str
    epoch: Count
    """The fencing token of the owner that published it."""
    next_offset: Offset | None
    """The first record of the log that is not in it; null: it has seen none."""
    written_at: Timestamp
    segments: Count
    files: Count
    size: Annotated[int, Field(ge=0)]
    """Bytes of its files."""


class StoredShardAnswer(Value):
    """The checkpoints of one partition, newest first, and what is wrong with them."""

    generation: GenerationName
    partition: Count
    checkpoints: tuple[StoredCheckpoint, ...]
    verified: bool
    """Whether every file was read and held against its checksum."""
    faults: tuple[str, ...]
    """A sentence each; none: nothing is wrong with what was looked at."""
