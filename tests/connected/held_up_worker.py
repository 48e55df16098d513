"""A worker whose stop something holds up for ever: `python -m tests.connected.held_up_worker`.

By a component that swallows every cancellation, as a `wait_for` of Python 3.11 may, and an endless thread.
"""

import asyncio
import contextlib
import sys
import threading

from shared.process import logs
from shared.process.worker import Worker
from shared.settings import Settings


class HeldUp:
    async def start(self) -> None:
        threading.Thread(target=threading.Event().wait, name="held up").start()

    async def stop(self) -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()


if __name__ == "__main__":
    settings = Settings.load()
    logs.configure(settings.log, worker="held-up")
    worker = Worker("held-up", settings, port=0)
    worker.add(HeldUp())
    sys.exit(worker.run())
