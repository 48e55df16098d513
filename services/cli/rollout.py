"""`headrace rollout status | backfill | promote | rollback | retire`."""

import asyncio
import json
from collections.abc import Callable
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.control import Rollout
from services.cli.progress import bars
from services.rollout.domain.readiness import Evidence, waiting_for
from services.rollout.evidence import Witnesses
from services.rollout.settings import Settings
from shared.adapters.kafka import KafkaPublisher
from shared.adapters.redis import connect
from shared.clock import SystemClock
from shared.errors import ConfigurationError, TransientError
from shared.generations import Generation
from shared.infrastructure import running
from shared.ports import outgoing
from shared.rollout_log import RolloutLog, read_rollouts

app = typer.Typer(no_args_is_help=True, help="Build, promote, roll back and retire index generations.")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Name = Annotated[str, typer.Argument(help="The generation.")]
ANSWERED_SECONDS = 20.0
LOOK_SECONDS = 0.25
Told = Callable[[Evidence, Evidence, list[str]], None]


@app.command()
def status(json_: Json = False) -> None:
    """Show every generation: its model, how far it is, what its canaries find."""
    settings = _settings()
    log = asyncio.run(read_rollouts(settings))
    found = asyncio.run(_heard(settings, log))
    rows = [_row(generation, found, log) for generation in log.generations.known.values()]
    if json_:
        state = log.generations
        print(json.dumps({"live": state.live, "previous": state.previous, "generations": rows}))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("generation", "stage", "model", "products", "behind", "canaries", "lacks"):
        table.add_column(column, overflow="fold")
    for row in rows:
        lacks = row["reason"] or "; ".join(row["lacks"])
        canaries = f"{row['canaries'] - len(row['low'])} of {row['canaries']}" if row["canaries"] else ""
        products = f"{row['products']:,}" if row["stage"] != "retired" else ""
        cells = (row["stage"], row["model_id"] or "configured", products, f"{row['behind']:,}", canaries)
        table.add_row(row["generation"], *cells, Text(lacks))
    Console().print(table)


@app.command()
def backfill(
    generation: Annotated[str, typer.Argument(help="A name that was never used.")],
    model: Annotated[str, typer.Option(help="The id of a model of models.v1.")],
    force: Annotated[bool, typer.Option("--force", help="Also a model that its evaluation refused.")] = False,
    json_: Json = False,
) -> None:
    """Build a generation with a model from what the live one has; returns when it is ready to be promoted."""
    request = new_request("backfill", generation).model_copy(update={"model_id": model, "force": force})
    _report(_ask(request), json_=json_)


@app.command()
def promote(generation: Name, json_: Json = False) -> None:
    """Let a generation that is ready answer the searches; the one before stays warm."""
    _report(_ask(new_request("promote", generation)), json_=json_)


@app.command()
def rollback(json_: Json = False) -> None:
    """Go back to the generation that was live before."""
    state = asyncio.run(read_rollouts(_settings())).generations
    if state.previous is None:
        raise ConfigurationError("there is no generation to go back to: `headrace rollout status`")
    _report(_ask(new_request("rollback", state.previous)), json_=json_)


@app.command()
def retire(generation: Name, json_: Json = False) -> None:
    """Give a generation up, and remove what it keeps; also one that is still being built."""
    _report(_ask(new_request("retire", generation)), json_=json_)


def _settings() -> Settings:
    return running.discover(Settings.load())


def new_request(action: str, generation: str) -> Rollout:
    """Return a request of its own; raises `ConfigurationError` for what cannot be a generation's name."""
    try:
        return Rollout.model_validate(
            {
                "request_id": f"{action}-{uuid4().hex[:12]}",
                "action": action,
                "generation": generation,
                "requested_at": SystemClock().now(),
            }
        )
    except ValueError as error:
        raise ConfigurationError(f"{generation!r} is no name of a generation: a-z, 0-9 and -") from error


def _ask(request: Rollout) -> Rollout:
    """Send the request and return its final answer; shows how far a backfill is meanwhile."""
    settings = _settings()
    with bars(Console(stderr=True)) as progress:
        task = progress.add_task(f"{request.action} {request.generation}", total=None)

        def told(candidate: Evidence, live: Evidence, lacking: list[str]) -> None:
            what = lacking[0] if lacking else "canaries"
            progress.update(
                task,
                description=f"{request.generation}: {what}"[:70],
                total=live.documents or None,
                completed=candidate.documents,
            )

        return asyncio.run(ask(settings, request, told))


async def ask(settings: Settings, request: Rollout, told: Told = lambda *_: None) -> Rollout:
    """Publish a request and return its final answer; `told` hears of a backfill how far it is.

    Raises `TransientError` when nobody answers.
    """
    log, publisher, redis = RolloutLog(settings), KafkaPublisher(settings), connect(settings)
    await log.start()
    try:
        await publisher.start()
        await publisher.publish([outgoing(request)])
        witnesses, loop = Witnesses(redis, settings), asyncio.get_running_loop()
        patience = loop.time() + ANSWERED_SECONDS
        while (answer := log.answers.get(request.request_id or "")) is None or answer.status == "running":
            if answer is None and loop.time() > patience:
                raise TransientError(
                    "nobody answered: does the rollout worker run (`headrace worker rollout`)?"
                )
            if answer is not None:
                live = await witnesses.heard(log.generations.live or "")
                candidate = await witnesses.heard(request.generation)
                lacking = waiting_for(candidate, live, most_behind=settings.rollout.most_behind)
                told(candidate, live, lacking)
            await asyncio.sleep(LOOK_SECONDS)
        return answer
    finally:
        await publisher.stop()
        await log.stop()
        await redis.aclose()


def _report(answer: Rollout, *, json_: bool) -> None:
    """Say what became of the request; exit 1 when it was refused."""
    if json_:
        print(answer.model_dump_json(exclude={"model"}))
    else:
        words = f"{answer.action} {answer.generation}: {answer.status}"
        Console().print(Text(f"{words}, {answer.reason}" if answer.reason else words))
    if answer.status == "refused":
        raise typer.Exit(1)


async def _heard(settings: Settings, log: RolloutLog) -> dict[str, Evidence]:
    redis = connect(settings)
    try:
        witnesses = Witnesses(redis, settings)
        return {name: await witnesses.heard(name) for name in log.generations.served}
    finally:
        await redis.aclose()


def _row(generation: Generation, found: dict[str, Evidence], log: RolloutLog) -> dict[str, Any]:  # Any: JSON
    heard, live = found.get(generation.name), found.get(log.generations.live or "")
    row: dict[str, Any] = {  # Any: JSON
        "generation": generation.name,
        "stage": generation.stage,
        "model_id": generation.model.model_id if generation.model else None,
        "products": heard.documents if heard else 0,
        "behind": heard.lag if heard else 0,
        "canaries": len(heard.canaries) if heard else 0,
        "low": sorted(
            name for name, each in (heard.canaries if heard else {}).items() if each.recall < each.limit
        ),
        "lacks": [],
        "reason": generation.reason,
    }
    if heard and live:
        row["lacks"] = waiting_for(heard, live, most_behind=_settings().rollout.most_behind)
    return row
