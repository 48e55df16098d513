"""Configuration of the shards worker: section `[shards]`, environment `HEADRACE_SHARDS__...`."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

import shared.settings
from schemas.topics import TOMBSTONES
from shared.retrieval.settings import TextSettings
from shared.section import Duration, Section
from shared.settings import Port


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
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 512
    """HTTP requests in hand at once; more are answered 429."""
    per_client: Annotated[int, Field(ge=0, le=10_000)] = 256
    """Of them at most so many of one address; 0: as many as there may be. A search worker asks up to
    `search.concurrency` questions at once, of each process."""
    dumps: Annotated[int, Field(ge=1, le=1000)] = 8
    """Of them at most so many that read a whole partition, for `headrace verify` and `headrace fields`."""
    lexical: TextSettings = TextSettings()


class Settings(shared.settings.Settings):
    """Everything the shards worker needs."""

    shards: ShardsSettings = ShardsSettings()


def lease_name(namespace: str, generation: str) -> str:
    """Return what the leases on the shards of a generation are named by in Redis."""
    return f"{namespace}:shards:{generation}"
