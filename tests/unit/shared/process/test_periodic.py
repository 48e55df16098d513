"""Work that is done again and again, in virtual time."""

import asyncio
from datetime import timedelta

import pytest

from shared.errors import FatalError, TransientError
from shared.process.periodic import TROUBLE_PAUSE, Every
from tests.unit.shared.virtual_time import now, virtually

TROUBLE = TROUBLE_PAUSE.total_seconds()


class Action:
    """Writes down when it is done; raises the errors of `failures` first."""

    def __init__(self, *failures: Exception, takes: float = 0.0) -> None:
        self.moments: list[float] = []
        self.failures = list(failures)
        self.takes = takes

    async def __call__(self) -> None:
        self.moments.append(now())
        await asyncio.sleep(self.takes)
        if self.failures:
            raise self.failures.pop(0)


def moments(action: Action, *, period: float, seconds: float) -> list[float]:
    """Return when it was done within the seconds."""

    async def run() -> None:
        every = Every("test", timedelta(seconds=period), action)
        await every.start()
        await asyncio.sleep(seconds)
        await every.stop()
        await every.wait()

    virtually(run())
    return action.moments


def test_it_begins_at_once_and_then_every_period():
    assert moments(Action(), period=3, seconds=10) == [0, 3, 6, 9]


def test_the_pause_is_after_what_is_done_so_that_it_never_overtakes_itself():
    assert moments(Action(takes=4), period=1, seconds=16) == [0, 5, 10, 15]


def test_transient_trouble_is_waited_out():
    trouble = [TransientError("away")] * 2
    assert moments(Action(*trouble), period=0.25, seconds=2 * TROUBLE + 0.5) == [
        0, TROUBLE, 2 * TROUBLE, 2 * TROUBLE + 0.25
    ]  # fmt: skip


def test_after_trouble_a_long_period_is_not_made_shorter():
    assert moments(Action(TransientError("away")), period=9, seconds=10) == [0, 9]


@pytest.mark.parametrize("error", [FatalError("stop"), KeyError("a bug")])
def test_anything_else_ends_it_and_is_raised_at_whoever_waits(error):
    async def run() -> None:
        every = Every("test", timedelta(seconds=1), Action(error))
        await every.start()
        await every.wait()

    with pytest.raises(type(error)):
        virtually(run())


def test_what_was_stopped_is_no_failure_and_does_no_more():
    action = Action(takes=5)

    async def run() -> None:
        every = Every("test", timedelta(seconds=1), action)
        await every.start()
        waiting = asyncio.ensure_future(every.wait())
        await asyncio.sleep(2)
        await every.stop()
        await waiting
        await asyncio.sleep(100)

    virtually(run())
    assert action.moments == [0]


async def test_one_that_never_began_can_be_waited_for_and_stopped():
    every = Every("test", timedelta(seconds=1), Action())
    await every.wait()
    await every.stop()


async def test_it_stops_although_the_action_swallows_the_cancellation() -> None:
    entered = asyncio.Event()

    async def stubborn() -> None:  # as `asyncio.wait_for` of Python 3.11 may be
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    every = Every("stubborn", timedelta(0), stubborn)
    await every.start()
    await entered.wait()
    await every.stop()
    await every.wait()
