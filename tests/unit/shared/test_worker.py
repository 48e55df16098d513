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


async def test_a_part_that_cannot_stop_keeps_no_other_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "DRAIN", timedelta(0))
    monkeypatch.setattr(worker, "LEAST_SECONDS", 0.01)
    orderly, process = Orderly(), Worker("test", Settings(), port=0)
    process.add(orderly)
    process.add(Endless())
    await process.stop_parts()
    assert orderly.stopped
