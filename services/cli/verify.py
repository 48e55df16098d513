"""`headrace verify index | judgements | trials`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from services.cli.options import duration

if TYPE_CHECKING:
    from services.lab.verification.conservation import Balance
    from services.lab.verification.verdict import VerificationResult
    from shared.settings import Settings

    S = TypeVar("S", bound=Settings)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Recompute the state from the topics and compare, exactly.",
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Wait = Annotated[timedelta, duration("--wait", help_="Look again for so long while they differ.")]
USUAL_WAIT = timedelta(seconds=30)
SHOWN = 20


@app.command()
def index(
    wait: Wait = USUAL_WAIT,
    generation: Annotated[str, typer.Option(help="Absent: the live one.")] = "",
    json_: Json = False,
) -> None:
    """Compare every shard with the catalogue's changes: ids, fields, versions, hashes, vectors."""
    from services.embedder.settings import Settings  # noqa: PLC0415  lazy: see main
    from services.lab.verification.index import verify_index  # noqa: PLC0415  lazy: see main
    from shared.generations.rollout_log import read_rollouts  # noqa: PLC0415  lazy: see main

    async def verify(settings: Settings, patience: timedelta) -> "VerificationResult":
        name = generation or (await read_rollouts(settings)).generations.live
        return await verify_index(settings.model_copy(update={"generation": name}), patience)

    _run("index", Settings, verify, wait=wait, json_=json_)


@app.command()
def judgements(wait: Wait = USUAL_WAIT, json_: Json = False) -> None:
    """Compare every judgement's counts with a recount of all queries and events."""
    from services.judgements.settings import Settings  # noqa: PLC0415  lazy: see main
    from services.lab.verification.judgements import verify_judgements  # noqa: PLC0415  lazy: see main

    _run("judgements", Settings, verify_judgements, wait=wait, json_=json_)


@app.command()
def trials(wait: Wait = USUAL_WAIT, json_: Json = False) -> None:
    """Compare every session of every trial, and each end, with a recount of all queries and events."""
    from services.judgements.settings import Settings  # noqa: PLC0415  lazy: see main
    from services.lab.verification.trials import verify_trials  # noqa: PLC0415  lazy: see main

    _run("trials", Settings, verify_trials, wait=wait, json_=json_)


WORKERS = {"index": ("embedder", "shards"), "judgements": ("judgements",), "trials": ("judgements",)}


def _run(
    name: str,
    kind: "type[S]",
    verify: "Callable[[S, timedelta], Awaitable[VerificationResult]]",
    *,
    wait: timedelta,
    json_: bool,
) -> None:
    from services.lab.verification.conservation import balances  # noqa: PLC0415  lazy: see main
    from shared.infrastructure.running import discover  # noqa: PLC0415  lazy: see main

    settings = discover(kind.load())

    async def both() -> "tuple[VerificationResult, list[Balance]]":
        verdict = await verify(settings, wait)
        return verdict, await balances(_urls(settings, name))

    verdict, balanced = asyncio.run(both())
    _show(name, verdict, balanced, json_=json_)
    if not verdict.equal:
        raise typer.Exit(1)


def _urls(settings: "Settings", name: str) -> dict[str, str]:
    """Return where the pages of the workers concerned are."""
    from services.lab.addresses import urls  # noqa: PLC0415  lazy: see main

    return {worker: url for worker, url in urls(settings).items() if worker.startswith(WORKERS[name])}


def _show(name: str, verdict: "VerificationResult", balanced: "list[Balance]", *, json_: bool) -> None:
    import orjson  # noqa: PLC0415  lazy: see main

    from services.lab.terminal import Terminal  # noqa: PLC0415  lazy: see main
    from services.lab.verification.conservation import lines  # noqa: PLC0415  lazy: see main

    if json_:
        report = verdict.json(f"verify {name}", shown=SHOWN)
        print(orjson.dumps(report | {"conservation": [balance.json() for balance in balanced]}).decode())
        return
    console = Terminal(highlight=False, soft_wrap=True)
    for difference in verdict.differences[:SHOWN]:
        console.print(difference, style="red")
    if (more := len(verdict.differences) - SHOWN) > 0:
        console.print(f"... and {more:,} more", style="red")
    for line in (*verdict.notes, *lines(balanced)):
        console.print(line, style="dim")
    figures = ", ".join(f"{number:,} {what}" for what, number in verdict.figures.items())
    count = len(verdict.differences)
    result = "no difference" if verdict.equal else f"{count:,} difference{'s' * (count > 1)}"
    console.print(f"{name}: {result}; {figures}", style="bold green" if verdict.equal else "bold red")
