"""A whole installation for a test module: the ladder's broker, a Valkey of its own, real workers."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from shared.infrastructure.ladder import Rung, choose_broker, choose_redis
from shared.infrastructure.server import Server
from shared.infrastructure.stack import Stack
from shared.infrastructure.workers import WorkerSpec
from shared.settings import Settings

ALL = ("shards", "embedder", "search", "judgements", "monitor")
PARTITIONS = 2
QUICK = {
    "HEADRACE_SHARDS__CHECKPOINT_EVERY": "PT2S",  # so that kills also hit checkpoints and merges
    "HEADRACE_SHARDS__SEAL_ROWS": "64",
    "HEADRACE_SHARDS__LEASE": "PT4S",
    "HEADRACE_EMBEDDER__BATCH_MESSAGES": "16",
    "HEADRACE_MODEL__THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


@contextmanager
def installation(
    directory: Path,
    kinds: Sequence[str] = ALL,
    *,
    broker: Server | None = None,
    redis: Server | None = None,
    common: Mapping[str, object] | None = None,
    settings: Mapping[str, str] | None = None,
    of_kind: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Stack]:
    """Run it until the block ends.

    `common` are settings that all share, the servers' among them; `settings` are more of the workers'
    environment, `of_kind` of some's.
    """
    more = of_kind or {}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    stack = Stack(
        Settings.model_validate({"data_dir": directory, "partitions": PARTITIONS, **(common or {})}),
        broker=broker or choose_broker(environment, data_dir=directory / "broker"),
        redis=redis or choose_redis({}, rung=Rung.EMBEDDED, data_dir=directory / "valkey"),
        workers=[
            WorkerSpec(kind, environment={**QUICK, **(settings or {}), **more.get(kind, {})})
            for kind in kinds
        ],
    )
    with stack:
        yield stack
