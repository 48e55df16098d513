"""Configuration of the shards worker: section `[shards]`, environment `HEADRACE_SHARDS__...`."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field

import shared.settings
from schemas.topics import TOMBSTONES
from shared.retrieval.settings import TextSettings
from shared.section import Duration, Section
from shared.settings import Port


class LexicalSettings(TextSettings):
    """Text search: which attributes are text, how they count, and where the index works."""

    heap_mib: Annotated[int, Field(ge=15, le=4096)] = 32
    """Memory of the index writer of one shard."""
    work_dir: Path | None = None
    """Where the text index works between checkpoints; absent: /dev/shm when it has room, because a commit
    waits for its disk ten times, else beside the shard."""


class ShardsSettings(Section):
    """How shards are kept."""

    port: Port = 8810
    seal_rows: Annotated[int, Field(ge=16)] = 8192
    """Rows in the mutable head before it becomes a segment."""
    checkpoint_every: Duration = timedelta(seconds=30)
    lease: Duration = timedelta(seconds=10)
    """How long a dead owner keeps its partitions."""
    oldest_snapshot: Duration = TOMBSTONES
    search_threads: Annotated[int, Field(ge=1, le=256)] = 4
    lexical: LexicalSettings = LexicalSettings()


class Settings(shared.settings.Settings):
    """Everything the shards worker needs."""

    shards: ShardsSettings = ShardsSettings()
