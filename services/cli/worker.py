"""`headrace worker NAME`: one worker in the foreground, as `python -m services.NAME` would run it."""

import runpy
from enum import StrEnum
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


class Name(StrEnum):
    """The workers there are."""

    EMBEDDER = "embedder"
    SHARDS = "shards"
    SEARCH = "search"
    JUDGEMENTS = "judgements"
    NEGATIVES = "negatives"
    TRAINER = "trainer"
    ROLLOUT = "rollout"
    MONITOR = "monitor"
    COLLECTOR = "collector"


@app.command()
def worker(name: Annotated[Name, typer.Argument(help="Which worker.")]) -> None:
    """Run one worker until SIGTERM."""
    runpy.run_module(f"services.{name.value}", run_name="__main__", alter_sys=True)
