"""A worker whose Faust never stops: `python -m tests.connected.stuck_worker` writes what it does."""

import asyncio
import sys
from datetime import timedelta

import faust

from shared import worker
from shared.settings import Settings
from shared.worker import Worker


class Part:
    async def start(self) -> None:
        say("started")

    async def stop(self) -> None:
        say("stopped")


def say(word: str) -> None:
    sys.stdout.write(f"part {word}\n")
    sys.stdout.flush()


async def never(_: faust.App) -> None:
    say("waits for Faust")
    await asyncio.Event().wait()


if __name__ == "__main__":
    faust.App.stop = never
    worker.FAREWELL = timedelta(milliseconds=100)
    process = Worker("test", Settings(), port=0)
    process.add(Part())
    sys.exit(process.run())
