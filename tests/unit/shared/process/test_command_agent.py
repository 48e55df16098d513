"""Faust's app beside a worker: whatever it ends of, the worker lives, and a new one is started."""

import asyncio

from shared.process.faust_app import AGAIN, LEAVING, CommandAgent
from tests.unit.shared.virtual_time import now, virtually


class App:
    """What `CommandAgent` uses of an app; it may fail at its start, crash after a while, hang at its end."""

    def __init__(self, *, fails: bool = False, crashes_after: float = 1e9, hangs: bool = False) -> None:
        self.crash_reason: Exception | None = None
        self.started_at: float | None = None
        self.stopped = False
        self._fails, self._crashes_after, self._hangs = fails, crashes_after, hangs

    async def start(self) -> None:
        self.started_at = now()
        if self._fails:
            raise RuntimeError("no such group")

    async def wait_for_stopped(self, *_: object) -> bool:
        for waiting in _:
            waiting.close()  # type: ignore[attr-defined]  # a coroutine that is not awaited here
        await asyncio.sleep(self._crashes_after)
        self.crash_reason = RuntimeError("the topic is forbidden")
        return True

    async def stop(self) -> None:
        if self._hangs:
            await asyncio.Event().wait()
        self.stopped = True


def test_an_app_that_fails_crashes_or_hangs_is_followed_by_another() -> None:
    apps = [App(fails=True), App(crashes_after=7), App(crashes_after=1, hangs=True), App()]
    waiting = iter(apps)

    async def story() -> None:
        agent = CommandAgent(lambda: next(waiting))  # type: ignore[arg-type, return-value]  # what it uses
        await agent.start()
        await asyncio.sleep(60)
        await agent.stop()

    virtually(story())
    pause, leaving = AGAIN.total_seconds(), LEAVING.total_seconds()
    second = pause
    third = second + 7 + pause
    assert [app.started_at for app in apps] == [0, second, third, third + 1 + leaving + pause]
    assert [app.stopped for app in apps] == [True, True, False, True]
