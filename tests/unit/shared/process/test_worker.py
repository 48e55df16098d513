"""A worker's components are stopped once, to the end, whoever asks for it and whatever becomes of them."""

import asyncio

from shared.process.worker import Worker
from shared.settings import Settings


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


class Unconnected(Worker):
    """A worker that has started all but its port and its commands."""

    def __init__(self, component: Counted) -> None:
        super().__init__("test", Settings(), port=0)
        self._components._components = [component]


async def test_components_are_stopped_once_and_whoever_asks_waits_for_the_end() -> None:
    component = Counted()
    worker = Unconnected(component)
    await worker.start()
    await asyncio.gather(worker.stop(), worker.stop())
    await worker.stop()
    assert component.stops == 1


async def test_components_are_stopped_to_the_end_although_whoever_asked_is_cancelled() -> None:
    component = Counted()
    worker = Unconnected(component)
    await worker.start()
    asking = asyncio.ensure_future(worker.stop())
    await component.stopping.wait()
    asking.cancel()
    await worker.stop()
    assert component.stops == 1
