import asyncio
from datetime import timedelta

from shared.periodic import Every


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
