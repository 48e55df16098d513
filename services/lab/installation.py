"""An installation on this machine: the one that runs here, or one that is started and stopped again."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from services.lab.addresses import port
from services.monitor.freshness.domain.work import WATCHED
from services.monitor.settings import Settings as MonitorSettings
from shared.errors import ConfigurationError
from shared.infrastructure import running
from shared.infrastructure.ladder import Rung, choose_broker, choose_redis
from shared.infrastructure.process import free_port, is_free
from shared.infrastructure.stack import Stack
from shared.infrastructure.workers import WorkerSpec
from shared.settings import Settings, environment

KAFKA_PORT, REDIS_PORT = 9092, 6379
READY = timedelta(minutes=10)


def local_stack(
    settings: Settings,
    kinds: Sequence[str],
    *,
    broker: Rung | None = None,
    redis: Rung | None = None,
    lines: Callable[[str, str], None] | None = None,
) -> Stack:
    """Return an installation kept in the data directory: usual ports where free, embedded unless told."""
    env, directory = environment(), settings.data_dir
    broker = broker or (Rung.EXTERNAL if env.get("HEADRACE_KAFKA") else Rung.EMBEDDED)
    redis = redis or (Rung.EXTERNAL if env.get("HEADRACE_REDIS") else Rung.EMBEDDED)
    keep_servers(directory, f"{broker.value} broker, {redis.value} Redis")
    return Stack(
        settings,
        broker=choose_broker(
            env, rung=broker, data_dir=directory / broker.value, port=usual_port(KAFKA_PORT)
        ),
        redis=choose_redis(env, rung=redis, data_dir=directory / "valkey", port=usual_port(REDIS_PORT)),
        workers=[
            WorkerSpec(kind, port=usual_port(port(kind, settings)), environment=_watched(kind, kinds))
            for kind in kinds
        ],
        lines=lines,
    )


def _watched(kind: str, kinds: Sequence[str]) -> dict[str, str]:
    """Return what tells the monitor which workers there are, unless that is set."""
    section = MonitorSettings.load().monitor.freshness
    if kind != "monitor" or "workers" in section.model_fields_set:
        return {}
    return {"HEADRACE_MONITOR__FRESHNESS__WORKERS": json.dumps(sorted(WATCHED.intersection(kinds)))}


@contextmanager
def running_or_started(
    kinds: Sequence[str], data_dir: Path | None, broker: Rung | None
) -> Iterator[Settings]:
    """Give the settings of what runs here, or start these workers and stop them afterwards."""
    settings = Settings.load(data_dir=data_dir)
    if running.read(settings.data_dir) is not None:
        yield running.discover(settings)
        return
    directory = data_dir or settings.data_dir / "evaluate"
    stack = local_stack(settings.model_copy(update={"data_dir": directory}), kinds, broker=broker)
    with stack:
        stack.wait_ready(within=READY)
        yield running.discover(stack.settings)


def keep_servers(directory: Path, servers: str) -> None:
    """Refuse servers other than those that the directory's state was made with: its offsets are theirs."""
    file = directory / "servers"
    if file.exists() and (before := file.read_text()) != servers:
        raise ConfigurationError(
            f"{directory} was made with {before}, not {servers}: use those, or give another --data-dir"
        )
    directory.mkdir(parents=True, exist_ok=True)
    file.write_text(servers)


def usual_port(usual: int) -> int:
    """Return the usual port, or another one when it is taken."""
    return usual if usual and is_free(usual) else free_port()
