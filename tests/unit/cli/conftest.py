"""`headrace(...)` runs a command in this process as a shell would: its exit code, and what it printed.

Nothing of the machine's own configuration reaches it, and it runs in a directory of its own.
"""

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog

from tests.command_line import TERMINAL, Finished, Headrace, finish, leave_running


@pytest.fixture
def closed_ports() -> Iterator[tuple[int, int]]:
    """Provide two ports that refuse every connection: they are taken, so no other test's server gets them."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(2)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        yield taken[0].getsockname()[1], taken[1].getsockname()[1]


@pytest.fixture
def headrace(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    closed_ports: tuple[int, int],
) -> Iterator[Headrace]:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    for name, value in TERMINAL.items():
        monkeypatch.setenv(name, value)
    # Nothing listens there: a command that needs a broker, a Redis or a worker says so.
    kafka, redis = closed_ports
    monkeypatch.setenv("HEADRACE_KAFKA", f"127.0.0.1:{kafka}")
    monkeypatch.setenv("HEADRACE_REDIS", f"redis://127.0.0.1:{redis}/0")
    monkeypatch.chdir(tmp_path)
    on_terminate, level = signal.getsignal(signal.SIGTERM), logging.getLogger("aiokafka").level

    def headrace(*arguments: str) -> Finished:
        return finish(capsys, *arguments)

    yield headrace
    signal.signal(signal.SIGTERM, on_terminate)
    logging.getLogger("aiokafka").setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def running_here(tmp_path: Path) -> Callable[[dict[str, int]], None]:
    """Leave what an installation of this process would, with workers at these ports."""
    return lambda ports: leave_running(tmp_path / ".headrace", ports)
