"""Where a load stands, so that it goes on after a kill: a file in the data directory, replaced whole.

It is found by what is loaded (path, size, time and head of each file, and what was said of them) and where to
(the identity of the topic): a file that changed is another load.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.loader.domain.columns import FieldMapping
from services.loader.formats.content import STDIN
from services.loader.request import LoadRequest
from shared.directories import replace_file
from shared.errors import ConfigurationError

FOLDER = "loads"
HEAD = 1024 * 1024
WRITTEN_EVERY = 1.0
"""Seconds: so much at most is written twice when a load that was killed goes on."""


class LoadState(BaseModel):
    """How far a load has come; `done` units (rows, and lines that are none) are acknowledged."""

    model_config = ConfigDict(frozen=True)

    load_id: str
    began_at: Annotated[int, Field(ge=0)]
    """Milliseconds since 1970, by the broker's clock."""
    done: int = 0
    published: int = 0
    readings: tuple[FieldMapping, ...] = ()
    """How the rows of each file that was begun are read."""
    finished: bool = False


class StateFile:
    """The state of one load; of standard input, which cannot be read twice, nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def load(self) -> LoadState | None:
        """Return what was kept, or None."""
        if self.path is None:
            return None
        try:
            return LoadState.model_validate_json(self.path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def unfinished(self, *, restart: bool) -> LoadState | None:
        """Return the state of a load to go on with; None: it is to begin."""
        state = None if restart else self.load()
        return None if state is None or state.finished else state

    def save(self, state: LoadState) -> None:
        """Replace it; on disk when this returns."""
        if self.path is None:
            return
        try:
            replace_file(self.path, state.model_dump_json().encode())
        except OSError as error:
            raise _unwritable(self.path, error) from error


class LoadCheckpoint:
    """What is kept of a load while it runs: written once a second at most, and when a file ends."""

    def __init__(self, kept: StateFile, state: LoadState) -> None:
        self.state = state
        self._kept = kept
        self._written = 0.0
        self.flush()

    def read_as(self, number: int, mapping: FieldMapping) -> None:
        """Remember how the rows of a file are read."""
        self.state = self.state.model_copy(update={"readings": (*self.state.readings[:number], mapping)})

    def reach(self, units: int, *, now: float) -> None:
        """Remember that so many units are acknowledged; `now` counts seconds."""
        self.state = self.state.model_copy(update={"done": max(units, self.state.done)})
        if now - self._written >= WRITTEN_EVERY:
            self._written = now
            self.flush()

    def finish(self) -> None:
        """Remember that all is done."""
        self.state = self.state.model_copy(update={"finished": True})
        self.flush()

    def flush(self) -> None:
        """Write what is remembered."""
        self._kept.save(self.state)


@contextmanager
def state_of(request: LoadRequest, data_dir: Path, *, log: str) -> Iterator[StateFile]:
    """Give the state of a load that nobody else works on; raises `ConfigurationError` when somebody does."""
    if STDIN in request.files:
        yield StateFile(None)
        return
    path = data_dir / FOLDER / f"{_identity(request, log)}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield StateFile(path)
    except BlockingIOError as error:
        raise ConfigurationError("these files are being loaded by another process") from error
    finally:
        with suppress(OSError):
            os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    where = f"where a load stands cannot be kept in {path.parent}"
    return ConfigurationError(f"{where}: {error.strerror}; HEADRACE_DATA_DIR names another place")


def _identity(request: LoadRequest, log: str) -> str:
    files = []
    for name in request.files:
        path = Path(name).resolve()
        facts = path.stat()
        with path.open("rb") as file:
            head = hashlib.sha256(file.read(HEAD)).hexdigest()
        files.append([str(path), facts.st_size, facts.st_mtime_ns, head])
    said = [log, request.source, request.replace, asdict(request.options), files]
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()[:24]
