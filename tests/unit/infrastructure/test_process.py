"""Child processes: ready when they say so, ended whatever they do, and never left behind."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from shared.errors import FatalError
from shared.infrastructure.process import SERVER_PORTS, Process, exchange, free_port, is_free, listens
from shared.infrastructure.running import alive

SOON = timedelta(seconds=30)
SERVE = """
import signal, socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
signal.pause()
"""
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
signal.pause()
"""
OBEDIENT = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
signal.pause()
"""
PARENT = """
import signal, sys
from pathlib import Path
from shared.infrastructure.process import Process

def tell(line):
    print(child.pid, flush=True)

command = [sys.executable, "-c", sys.argv[2]]
child = Process(command, log=Path(sys.argv[1]), death_signal=signal.SIGKILL, lines=tell)
child.launch()
signal.pause()
"""

Start = Callable[..., Process]


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Start]:
    """Return what makes a child that runs a Python program; all of them end with the test."""
    children: list[Process] = []

    def make(program: str, *arguments: object, **options: object) -> Process:
        command = [sys.executable, "-c", program, *map(str, arguments)]
        children.append(Process(command, log=tmp_path / "logs" / f"{len(children)}.log", **options))  # type: ignore[arg-type]
        return children[-1]

    yield make
    for child in children:
        child.kill()


class Said:
    """Lines of a child, to be waited for."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def until(self, line: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: line in self.lines, timeout=30), self.lines


# The end


def test_one_that_obeys_ends_with_its_own_code(python: Start):
    said = Said()
    child = python(OBEDIENT, lines=said)
    child.launch()
    said.until("ready")
    assert child.stop(within=SOON) == 7
    assert (child.running, child.pid, child.exit_code) == (False, None, None)


def test_one_that_ignores_it_is_killed_when_its_time_is_over(python: Start):
    said = Said()
    child = python(STUBBORN, lines=said)
    child.launch()
    said.until("ready")
    assert child.stop(within=timedelta(milliseconds=50)) == -signal.SIGKILL


def test_one_that_ended_by_itself_says_how(python: Start):
    child = python("import sys; sys.exit(3)")
    child.launch()
    assert child.pid is not None
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert (child.exit_code, child.running) == (3, False)
    assert child.stop() == 3


def test_a_kill_leaves_it_no_time(python: Start):
    said = Said()
    child = python(STUBBORN, lines=said)
    child.launch()
    said.until("ready")
    pid = child.pid
    child.kill()
    assert not child.running
    assert pid is not None
    assert not alive(pid)


def test_what_never_ran_can_be_stopped_and_killed(python: Start):
    child = python("pass")
    assert child.stop() is None
    child.kill()
    assert child.tail() == "(empty)"


def test_it_may_be_started_again_and_its_log_goes_on(python: Start):
    child = python("print('hello')")
    for _ in range(2):
        child.launch()
        assert child.pid is not None
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        child.stop()
    assert child.log.read_text() == "hello\nhello\n"


def test_it_ends_with_its_parent_although_nobody_stopped_it(python: Start, tmp_path: Path):
    """A parent that is killed cannot stop anybody: the kernel does."""
    running = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "child.log"), STUBBORN],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
    )
    assert running.stdout is not None
    gone = os.pidfd_open(int(running.stdout.readline()))
    try:
        running.kill()
        running.wait()
        assert select.select([gone], [], [], 30)[
            0
        ]  # such a descriptor can be read once the process has ended
    finally:
        os.close(gone)
        running.stdout.close()


# Its output


def test_both_streams_are_in_the_log_and_given_line_by_line(python: Start):
    said = Said()
    child = python(
        "import sys; print('one', flush=True); print('two', file=sys.stderr, flush=True);"
        " sys.stdout.buffer.write(b'\\xff three\\n')",
        lines=said,
    )
    child.launch()
    said.until("\ufffd three")
    child.stop()
    assert said.lines == ["one", "two", "\ufffd three"]
    assert child.log.read_bytes() == b"one\ntwo\n\xff three\n"


def test_the_end_of_a_log_is_its_last_lines(python: Start):
    child = python("")
    child.log.parent.mkdir(parents=True)
    child.log.write_bytes(b"\n".join(b"line %d" % number for number in range(50)) + b"\n\xff\n")
    assert child.tail(3) == "line 48\nline 49\n\ufffd"
    assert len(child.tail().splitlines()) == 12


def test_it_has_the_environment_that_it_is_given_and_no_other(python: Start):
    child = python("import os; print(sorted(os.environ))", environment={"HEADRACE_KAFKA": "a:1"})
    child.launch()
    assert child.pid is not None
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    child.stop()
    assert "'HEADRACE_KAFKA'" in child.tail()
    assert "'PATH'" not in child.tail()


# Ready


def test_a_start_returns_when_it_listens_and_answers(python: Start):
    port, asked = free_port(), []

    def ready() -> bool:
        asked.append(is_free(port))
        return len(asked) > 2

    child = python(SERVE, port)
    child.start(ready, port=port, within=SOON)
    assert child.running
    assert child.pid is not None
    assert listens(child.pid, port)
    assert not listens(child.pid, port - 1)
    assert len(asked) > 2


def test_one_that_dies_on_its_way_is_told_with_the_end_of_its_log(python: Start):
    child = python("raise SystemExit('no such directory')")
    with pytest.raises(FatalError, match=r"did not become ready; (.|\n)*no such directory"):
        child.start(lambda: True, port=free_port(), within=SOON)
    assert child.pid is None


def test_one_that_is_never_ready_is_ended(python: Start):
    port = free_port()
    child = python(SERVE, port)
    with pytest.raises(FatalError, match="did not become ready"):
        child.start(lambda: False, port=port, within=timedelta(milliseconds=300))
    assert not child.running


def test_anothers_server_on_the_port_is_not_taken_for_ours(python: Start):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        child = python("import signal\nsignal.pause()")
        with pytest.raises(FatalError, match="did not become ready"):
            child.start(lambda: True, port=port, within=timedelta(milliseconds=300))


# Ports and answers


def test_a_free_port_is_one_that_a_server_can_take_and_no_client_is_given():
    ports = {free_port() for _ in range(20)}
    assert len(ports) > 10
    assert all(port in SERVER_PORTS for port in ports)
    assert max(SERVER_PORTS) < 32_768  # from here on Linux numbers the ends of outgoing connections
    with socket.create_server(("127.0.0.1", ports.pop())):
        pass


def test_a_port_is_not_free_while_somebody_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        assert listens(os.getpid(), port)
    assert is_free(port)


def answering(reply: bytes) -> tuple[str, threading.Thread, list[bytes]]:
    """Answer one connection, in a thread; return the address and what came."""
    server, requests = socket.create_server(("127.0.0.1", 0)), []

    def answer() -> None:
        with server, server.accept()[0] as connection:
            requests.append(connection.recv(1024))
            connection.sendall(reply)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    return f"127.0.0.1:{server.getsockname()[1]}", thread, requests


def test_a_request_is_sent_and_the_first_answer_returned():
    address, thread, requests = answering(b"+PONG\r\n")
    assert exchange(address, b"PING\r\n", seconds=30) == b"+PONG\r\n"
    thread.join()
    assert requests == [b"PING\r\n"]


def test_where_nobody_answers_the_answer_is_empty():
    assert exchange(f"127.0.0.1:{free_port()}", b"PING\r\n") == b""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert exchange(address, b"PING\r\n", seconds=0.05) == b""
