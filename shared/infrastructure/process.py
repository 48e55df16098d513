"""Child processes that are ready when `start` returns, and that never outlive their parent."""

import ctypes
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO

from shared.errors import FatalError

SERVER_PORTS = range(10_240, 32_768)
_PR_SET_PDEATHSIG = 1
_LISTEN = "0A"
_libc = ctypes.CDLL(None)
_POLL_SECONDS = 0.03


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that nothing listens on.

    It is below those that systems give to outgoing connections: one of them could take it before its
    server listens, as seen on busy machines.
    """
    while True:
        port = secrets.choice(SERVER_PORTS)
        if is_free(port, host):
            return port


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nothing listens on the port."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
        return True


def exchange(address: str, request: bytes, *, seconds: float = 1.0) -> bytes:
    """Send one request to `host:port` and return what comes back first; empty when nobody answers."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=seconds) as connection:
            connection.sendall(request)
            return connection.recv(4096)
    except OSError:
        return b""


def listens(pid: int, port: int) -> bool:
    """Whether this very process listens on the TCP port: who answers there may be another's server."""
    lines = [line.split() for table in ("tcp", "tcp6") for line in _lines(Path(f"/proc/{pid}/net/{table}"))]
    sockets = {f"socket:[{line[9]}]" for line in lines if line[3] == _LISTEN and _port(line[1]) == port}
    return any(str(file.readlink()) in sockets for file in Path(f"/proc/{pid}/fd").iterdir())


def _lines(table: Path) -> list[str]:
    return table.read_text().splitlines()[1:] if table.exists() else []


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _die_with_parent(death_signal: signal.Signals) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, death_signal)


class Process:
    """One child process with its log file; `lines`, when given, gets every line of its output too.

    The kernel sends it `death_signal` when the thread that called `start` ends (`PR_SET_PDEATHSIG`), so
    start it from the main thread. It has its own process group: Ctrl-C reaches the parent only.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGTERM,
        lines: Callable[[str], None] | None = None,
    ) -> None:
        self.command = list(command)
        self.log = log
        self._environment = environment
        self._death_signal = death_signal
        self._lines = lines
        self._child: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id, or None before the start and after the stop."""
        return self._child.pid if self._child else None

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._child is not None and self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended by itself (negative: the signal that killed it); None while it runs or was stopped."""
        return self._child.poll() if self._child else None

    def launch(self) -> None:
        """Start it, and return at once."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self._lines else log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                process_group=0,
                preexec_fn=lambda: _die_with_parent(self._death_signal),  # noqa: PLW1509  one prctl call
            )
        if self._lines and self._child.stdout:
            self._reader = threading.Thread(
                target=_copy, args=(self._child.stdout, self.log, self._lines), daemon=True
            )
            self._reader.start()

    def start(self, ready: Callable[[], bool], *, port: int, within: timedelta) -> None:
        """Start and return once it listens on the port and is `ready()`.

        Raises `FatalError` with the end of its log when it fails; so it does when another has the port,
        whose answers are not taken for its own.
        """
        self.launch()
        deadline = time.monotonic() + within.total_seconds()
        while not (ready() and self._listens(port)):
            if not self.running or time.monotonic() > deadline:
                self.kill()
                raise FatalError(
                    f"{self.command[0]} did not become ready; the end of {self.log}:\n{self.tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def _listens(self, port: int) -> bool:
        try:
            return self._child is not None and listens(self._child.pid, port)
        except OSError:  # it is ending
            return False

    def stop(self, *, within: timedelta = timedelta(seconds=20)) -> int | None:
        """Ask it to end (SIGTERM), kill it when it does not; return its exit code, None if it did not run."""
        if self._child is None:
            return None
        self._child.terminate()
        try:
            self._child.wait(within.total_seconds())
        except subprocess.TimeoutExpired:
            self._child.kill()
        return self._ended()

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would."""
        if self._child is not None:
            self._child.kill()
            self._ended()

    def _ended(self) -> int | None:
        code = self._child.wait() if self._child else None
        if self._reader:
            self._reader.join(timeout=1)
        self._child = self._reader = None
        return code

    def tail(self, lines: int = 12) -> str:
        """Return the end of its log."""
        if not self.log.exists():
            return "(empty)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _copy(pipe: IO[bytes], log: Path, lines: Callable[[str], None]) -> None:
    with pipe, log.open("ab") as file:
        for line in pipe:
            file.write(line)
            file.flush()
            lines(line.decode(errors="replace").rstrip("\n"))
