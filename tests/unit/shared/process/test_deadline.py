"""A process that should have ended, and is held up, says by what, and ends."""

import json
import subprocess
import sys

import pytest

from shared.process.deadline import DEADLINE, SAYING
from shared.process.worker import DRAIN

STOP = """
import asyncio, sys, threading
from datetime import timedelta
from shared.process import logs
from shared.process.deadline import StopDeadline
from shared.settings import LogSettings

def held_up():
    threading.Event().wait()

async def swallowing():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

async def stop():
    StopDeadline(asyncio.get_running_loop(), within=timedelta(seconds=%f), exit_code=lambda: 3).start()
    if sys.argv[1] == "a task":
        task = asyncio.create_task(swallowing(), name="stubborn")
        await asyncio.sleep(0)
        task.cancel()
        await task
    if sys.argv[1] == "a loop":
        held_up()
    if sys.argv[1] == "a thread":
        threading.Thread(target=held_up, name="stubborn").start()

logs.configure(LogSettings(format="json"), worker="test")
asyncio.run(stop())
"""


def stopped(by: str, *, within: float) -> subprocess.CompletedProcess[str]:
    """Return how a process ended whose stop is held up by this."""
    command = [sys.executable, "-c", STOP % within, by]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("by", "field", "holder"),
    [
        ("a task", "tasks", "stubborn: Event.wait (locks.py:"),
        ("a loop", "threads", "MainThread: Condition.wait (threading.py:"),
        ("a thread", "threads", "stubborn: Condition.wait (threading.py:"),
    ],
)
def test_whatever_holds_a_stop_up_is_named_and_the_process_ends_with_its_code(by, field, holder):
    ended = stopped(by, within=0.01)
    assert ended.returncode == 3, ended.stderr
    said = json.loads(ended.stderr)
    assert said["event"] == "process.stop_cut"
    assert any(line.startswith(holder) for line in said[field]), said


def test_a_process_that_ends_by_itself_is_not_waited_for():
    ended = stopped("nothing", within=3600)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_deadline_lies_between_the_drain_and_the_patience_of_an_operator():
    assert DRAIN < DEADLINE
    assert (DEADLINE + SAYING).total_seconds() < 30
