"""Settings as rows: name, value without secrets, and where the value comes from."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, SecretStr

from services.lab.addresses import KINDS
from shared.durations import text_of
from shared.infrastructure import running
from shared.settings import Settings, environment

HIDDEN = "********"
PREFIX = "HEADRACE_"


@dataclass(frozen=True)
class SettingRow:
    """One setting; `source` is environment, file, running or default."""

    name: str
    value: str
    source: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.name.replace(".", "__").upper()


def rows() -> list[SettingRow]:
    """Return the common settings, then every worker's own."""
    env, file, common = environment(), _file(environment()), Settings.load()
    installation = running.read(common.data_dir)
    from_running = _names_set_by_running(installation)
    values = dict(_flatten(running.discover(common)))
    for worker in _workers():
        values |= dict(_flatten(running.discover(worker)))
    return [SettingRow(name, value, _source(name, env, file, from_running)) for name, value in values.items()]


def _workers() -> Iterator[Settings]:
    for kind in KINDS:
        try:
            yield import_module(f"services.{kind}.settings").Settings.load()
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith("services"):
                raise


def _names_set_by_running(installation: running.Running | None) -> frozenset[str]:
    if installation is None:
        return frozenset()
    ports = {f"{worker}.port" for worker in installation.ports}
    names = installation.model_dump(exclude={"pid", "ports", "cluster_secret"})
    return frozenset(names) | ports | {"cluster.secret"}


def _file(env: Mapping[str, str]) -> Mapping[str, Any]:  # Any: TOML
    file = Path(env.get("HEADRACE_CONFIG", "headrace.toml"))
    return tomllib.loads(file.read_text()) if file.exists() else {}


def _source(name: str, env: Mapping[str, str], file: Mapping[str, Any], from_running: frozenset[str]) -> str:
    """Say where a value comes from, in the order of precedence."""
    if name in running.FACTS & from_running:
        return "running"
    if _in_environment(name, {key.upper(): value for key, value in env.items()}):
        return "environment"
    if _has_path(file, name.split(".")):
        return "file"
    return "running" if name in from_running else "default"


def _in_environment(name: str, env: Mapping[str, str]) -> bool:
    if PREFIX + name.replace(".", "__").upper() in env:
        return True
    section, _, rest = name.partition(".")
    try:  # a whole section may be given as JSON
        return bool(rest) and _has_path(json.loads(env.get(PREFIX + section.upper(), "")), rest.split("."))
    except ValueError:
        return False


def _has_path(table: Any, path: list[str]) -> bool:  # Any: TOML or JSON
    for part in path:
        if not isinstance(table, Mapping) or part not in table:
            return False
        table = table[part]
    return True


def _flatten(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, _readable(value)


def _readable(value: object) -> str:
    if isinstance(value, SecretStr):
        return without_password(value.get_secret_value())
    if isinstance(value, tuple | list | set | frozenset):
        return ", ".join(_readable(part) for part in value)
    if isinstance(value, timedelta):
        return text_of(value)
    return "" if value is None else str(value)


def without_password(secret: str) -> str:
    """Return a URL without its password, and of any other secret only that there is one."""
    url = urlsplit(secret)
    if not url.scheme or not url.hostname or url.query:
        return HIDDEN if secret else ""
    if url.password is None:
        return secret
    place = f"{url.username or ''}:{HIDDEN}@{url.netloc.rpartition('@')[2]}"
    return urlunsplit(url._replace(netloc=place))
