"""A Faust app with a mended consumer (see `shared.adapters.consumer`) that is stopped last."""

from collections.abc import Awaitable, Callable
from typing import Any

import faust
from faust.transport.drivers import aiokafka

from shared.adapters.consumer import calmed

LONGEST_WAIT = 1.5
"""Seconds; Faust fixes it."""


class _Thread(aiokafka.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped
    def _create_worker_consumer(self, transport: Any) -> Any:  # Any: as above
        return calmed(super()._create_worker_consumer(transport), longest_wait=LONGEST_WAIT)


class _Consumer(aiokafka.Consumer):  # type: ignore[misc]  # as above
    def _new_consumer_thread(self) -> Any:  # Any: as above
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class _Transport(aiokafka.Transport):  # type: ignore[misc]  # as above
    Consumer = _Consumer


class App(faust.App):  # type: ignore[misc]  # as above
    """A `faust.App` in every respect but its consumer, and that it lets others stop before it does."""

    stop_first: Callable[[], Awaitable[None]] | None = None
    """mode stops the app before the services beside it, and the app's own stop may take long or hang."""

    async def stop(self) -> None:
        """Stop, after what must be safe first."""
        if self.stop_first is not None:
            await self.stop_first()
        await super().stop()

    def _new_transport(self) -> Any:  # Any: as above
        return _Transport(self.conf.broker_consumer, self)
