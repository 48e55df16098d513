"""Of several workers of a kind one leads: a lease in Redis, and the epoch that its writes carry."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from shared.cluster.lease import Lease
from shared.errors import FencedError, TransientError
from shared.process.periodic import Every

TTL = timedelta(seconds=10)
EpochTick = Callable[[int], Awaitable[None]]
"""Does its work once, and writes under the epoch that it is given."""
log = structlog.get_logger()


class Leadership:
    """Holds the lease for as long as it can; `epoch` is None while another one leads."""

    def __init__(self, lease: Lease, *, ttl: timedelta = TTL) -> None:
        self._lease = lease
        self._every = Every("lease", ttl / 3, self._hold)
        self.epoch: int | None = None

    async def start(self) -> None:
        """Begin to ask for the lease; returns at once."""
        await self._every.start()

    async def stop(self) -> None:
        """Give the lease back, so that another one need not wait for it to run out."""
        await self._every.stop()
        if self.epoch is not None:
            self.epoch = None
            try:
                await self._lease.release()
            except TransientError as error:
                log.warning("lease.left", error=str(error), note="it runs out by itself")

    async def wait(self) -> None:
        """Return when stopped; raise what made it fail."""
        await self._every.wait()

    def leader_only(self, tick: EpochTick) -> Callable[[], Awaitable[None]]:
        """Return `tick(epoch)` as an action that does nothing while another one leads."""

        async def act() -> None:
            if self.epoch is None:
                return
            try:
                await tick(self.epoch)
            except FencedError as error:  # state has seen a newer epoch: step back
                log.warning("lease.fenced", error=str(error))
                self.epoch = None

        return act

    async def _hold(self) -> None:
        try:
            await self._ask()
        except TransientError:
            self.epoch = None
            raise

    async def _ask(self) -> None:
        if self.epoch is not None and not await self._lease.renew():
            log.warning("lease.lost", epoch=self.epoch)
            self.epoch = None
        if self.epoch is None:
            self.epoch = await self._lease.acquire()
            if self.epoch is not None:
                log.info("lease.taken", epoch=self.epoch)
