"""What `headrace up` left in `<data_dir>/running.json`, so that other commands find it by themselves.

Precedence of a setting, everywhere: flag, environment, TOML file, running installation, default.
"""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from shared.section import Section
from shared.settings import ClusterSettings, Settings

S = TypeVar("S", bound=Settings)
FILE = "running.json"
KEPT_SECRET = "cluster.secret"  # noqa: S105 - the name of a file
SECRET_BYTES = 32
FACTS = frozenset({"partitions"})
"""What an installation has, whatever is set: how many homes its products have is decided once."""


class Running(BaseModel):
    """Addresses of an installation on this machine, and the settings that a client must share with it."""

    model_config = ConfigDict(frozen=True)

    pid: int
    """Process that supervises it; the file is stale when that process is gone."""
    kafka: str
    kafka_embedded: bool = False
    kafka_cluster: str = ""
    redis: str
    cluster_secret: str = ""
    namespace: str
    topic_prefix: str
    partitions: int
    generation: str
    ports: Mapping[str, int] = {}
    """HTTP port of every worker, by the worker's name (which is its section in the settings)."""

    def write(self, data_dir: Path) -> None:
        """Replace the file whole; only its owner may read it, since a URL can hold a password."""
        file = data_dir / FILE
        new = file.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(self.model_dump_json(indent=2))
        new.replace(file)


def read(data_dir: Path) -> Running | None:
    """Return what runs on this data directory, or None."""
    try:
        running = Running.model_validate_json((data_dir / FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return running if alive(running.pid) else None


def forget(data_dir: Path) -> None:
    """Remove the file."""
    (data_dir / FILE).unlink(missing_ok=True)


def shared_secret(data_dir: Path) -> ClusterSettings:
    """Return the secret that the workers of this data directory share; the first call makes it.

    Only the owner of the file may read it.
    """
    file = data_dir / KEPT_SECRET
    if not file.exists():
        new = file.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(SECRET_BYTES))
        new.replace(file)
    return ClusterSettings(secret=SecretStr(file.read_text()))


def alive(pid: int) -> bool:
    """Whether a process of that id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def discover(settings: S) -> S:
    """Fill what neither flag nor environment nor file sets, and all `FACTS`, from the installation here."""
    running = read(settings.data_dir)
    if running is None:
        return settings
    common: dict[str, Any] = running.model_dump(
        exclude={"pid", "ports", "cluster_secret"}
    )  # Any: of several types
    common["redis"] = SecretStr(running.redis)
    if running.cluster_secret:
        common["cluster"] = ClusterSettings(secret=SecretStr(running.cluster_secret))
    stated = settings.model_fields_set - FACTS
    update = {name: value for name, value in common.items() if name not in stated}
    for worker, port in running.ports.items():
        section = getattr(settings, worker, None)
        if isinstance(section, Section) and "port" not in section.model_fields_set:
            update[worker] = section.model_copy(update={"port": port})
    return settings.model_copy(update=update)
