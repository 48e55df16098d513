"""`headrace adopt`: the way out when a Redis namespace has the state of another installation."""

import asyncio
from typing import Annotated

import typer

from shared.infrastructure.running import discover
from shared.process.installation import adopt as take_over
from shared.settings import Settings


def adopt(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Empty the Redis namespace and make it this installation's; its state is rebuilt from the topics.

    For when the installation that had it is gone for good: what still runs of it stops within a minute.
    """
    settings = discover(Settings.load())
    if not yes:
        typer.confirm(f"Remove every key of {settings.namespace!r} in this Redis?", abort=True)
    removed = asyncio.run(take_over(settings))
    print(f"{removed} keys removed: {settings.namespace!r} is this installation's; start its workers")
