"""Of several monitors one leads: a lease in Redis, and the epoch that its writes carry."""

import asyncio
from datetime import timedelta

import structlog

from shared.errors import TransientError
from shared.leases import Lease

TTL = timedelta(seconds=10)
log = structlog.get_logger()


class Leadership:
    """Holds the lease for as long as it can; `epoch` is None while another monitor leads."""

    def __init__(self, lease: Lease, *, ttl: timedelta = TTL) -> None:
        self._lease = lease
        self._every = ttl / 3
        self._task: asyncio.Task[None] | None = None
        self.epoch: int | None = None

    async def start(self) -> None:
        """Begin to ask for the lease; returns at once."""
        self._task = asyncio.create_task(self._hold(), name="monitor leadership")

    async def stop(self) -> None:
        """Give the lease back, so that another monitor need not wait for it to run out."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.epoch is not None:
            self.epoch = None
            try:
                await self._lease.release()
            except TransientError as error:
                log.warning("lease.left", error=str(error), note="it runs out by itself")

    async def wait(self) -> None:
        """Return when stopped; raise what made it fail."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def lost(self) -> None:
        """Step back: state has seen a newer epoch."""
        self.epoch = None

    async def _hold(self) -> None:
        while True:
            try:
                await self._ask()
            except TransientError as error:
                self.epoch = None
                log.warning("lease.unreachable", error=str(error))
            await asyncio.sleep(self._every.total_seconds())

    async def _ask(self) -> None:
        if self.epoch is not None and not await self._lease.renew():
            log.warning("lease.lost", epoch=self.epoch)
            self.epoch = None
        if self.epoch is None:
            self.epoch = await self._lease.acquire()
            if self.epoch is not None:
                log.info("lease.taken", epoch=self.epoch)
