import asyncio
from datetime import timedelta

import pytest

from shared import worker
from shared.settings import Settings
from shared.worker import Worker


class Endless:
    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        await asyncio.Event().wait()


class Orderly:
    stopped = False

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True


class Counted:
    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.stops = 0

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopping.set()
        await asyncio.sleep(0)
        self.stops += 1


async def test_a_part_that_cannot_stop_keeps_no_other_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "DRAIN", timedelta(0))
    monkeypatch.setattr(worker, "LEAST_SECONDS", 0.01)
    orderly, process = Orderly(), Worker("test", Settings(), port=0)
    process.add(orderly)
    process.add(Endless())
    await process.stop_parts()
    assert orderly.stopped


async def test_parts_are_stopped_once_and_whoever_asks_waits_for_the_end() -> None:
    process = Worker("test", Settings(), port=0)
    part = Counted()
    process.add(part)
    await asyncio.gather(process.stop_parts(), process.stop_parts())
    await process.stop_parts()
    assert part.stops == 1


async def test_parts_are_stopped_to_the_end_although_whoever_asked_is_cancelled() -> None:
    process, part = Worker("test", Settings(), port=0), Counted()
    process.add(part)
    asking = asyncio.ensure_future(process.stop_parts())
    await part.stopping.wait()
    asking.cancel()
    await process.stop_parts()
    assert part.stops == 1
