"""What every broker and every Redis of the ladder promises."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Server(Protocol):
    """A server to run on. Start it from the main thread: it ends with the thread that started it."""

    @property
    def address(self) -> str:
        """Where clients connect: `host:port` of a broker, a URL of a Redis; the same after a restart."""
        ...

    @property
    def running(self) -> bool:
        """Whether it is up, as far as we can tell."""
        ...

    def start(self) -> str:
        """Start and return the address once clients are served; data of an earlier run is still there."""
        ...

    def stop(self) -> None:
        """Stop cleanly; `start` resumes with the same data. Stopping twice is harmless."""
        ...

    def kill(self) -> None:
        """End it at once, as `kill -9` would; `start` resumes with what was durable."""
        ...


@dataclass(frozen=True)
class External:
    """A server that somebody else runs: it is used, never started, stopped or killed."""

    address: str
    running: bool = True

    def start(self) -> str:
        """Return the address; whether it answers is found out by those who connect."""
        return self.address

    def stop(self) -> None:
        """Leave it running."""

    def kill(self) -> None:
        """Leave it running."""


class DataDirectory:
    """A directory given by the caller, or a temporary one that is removed with this object."""

    def __init__(self, path: Path | None) -> None:
        self._temporary = None if path else tempfile.TemporaryDirectory(prefix="headrace-")
        self.path = path or Path(self._temporary.name if self._temporary else "")
        self.path.mkdir(parents=True, exist_ok=True)
