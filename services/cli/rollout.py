"""`headrace rollout status | backfill | trial | stop | promote | rollback | retire`."""

import asyncio
import json
from functools import partial
from typing import Annotated, Any

import typer
from rich.text import Text

from schemas.control import Model, Rollout
from services.cli.listing import Listing
from services.cli.neighbours import missing
from services.cli.progress import bars
from services.cli.trial_view import advice, power_table, share_of, trial_lines, trial_row
from services.lab.terminal import Terminal
from services.rollout.domain.readiness import GenerationEvidence, waiting_for
from services.rollout.evidence import EvidenceCollector
from services.rollout.models import CandidateModels
from services.rollout.requests import ask, new_request
from services.rollout.settings import Settings
from shared.clock import SystemClock
from shared.errors import ConfigurationError
from shared.generations.rollout_log import RolloutLog, read_rollouts
from shared.generations.state import Generation, Generations
from shared.generations.trial import Trial
from shared.infrastructure import running
from shared.process.installation import enter
from shared.state.redis import connect

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Build, try, promote, roll back and retire index generations.",
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Name = Annotated[str, typer.Argument(help="The generation.")]
SHOWN_REFUSALS = 5


@app.command()
def status(json_: Json = False) -> None:
    """Show every generation: its model, how far it is, what its canaries find."""
    settings = _settings()
    log = asyncio.run(read_rollouts(settings))
    evidence = asyncio.run(_gather_evidence(settings, log))
    rows = [
        generation_row(generation, evidence, log, settings) for generation in log.generations.known.values()
    ]
    refused = refused_builds(log)
    trial_ = log.generations.trial
    tried = None if trial_ is None else _trial_row(settings, trial_)
    if json_:
        state = log.generations
        shown = {"live": state.live, "previous": state.previous, "generations": rows, "trial": tried}
        print(json.dumps({**shown, "refused": refused}))
        return
    columns = ("generation", "stage", "model", "products", "behind", "canaries")
    listing = Listing(*columns, right=("products", "behind"))
    for row in rows:
        lacks = row["reason"] or "; ".join(row["lacks"])
        canaries = f"{row['canaries'] - len(row['low'])} of {row['canaries']}" if row["canaries"] else ""
        products = f"{row['products']:,}" if row["stage"] != "retired" else ""
        cells = (row["stage"], row["model_id"] or "configured", products, f"{row['behind']:,}", canaries)
        listing.add(row["generation"], *cells, note=lacks)
    listing.show(Terminal(), empty="no generation")
    for build in refused:
        Terminal().print(Text("{generation} with {model_id} was not built: {reason}".format_map(build)))
    for line in () if tried is None else trial_lines(tried):
        Terminal().print(Text(line))


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
def trial(
    generation: Name,
    share: Annotated[str | None, typer.Option(help="Of the sessions, such as 50%; at most 80%.")] = None,
    sessions: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Interleaved ones after which it ends; absent: as its model's verdict advises, if it does.",
        ),
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=365, help="After which it ends in any case.")] = None,
    promote_at_once: Annotated[
        bool, typer.Option("--promote-at-once", help="Promote it when shoppers prefer it, unasked.")
    ] = False,
    json_: Json = False,
) -> None:
    """Let shoppers decide between a generation that is ready and the live one; returns when it has begun."""
    from services.rollout.domain.trials.plan import planned_sessions  # noqa: PLC0415 - heavy, and for this path alone
    from services.rollout.trials.conductor import next_error  # noqa: PLC0415 - likewise

    settings = _settings()
    state, chosen = asyncio.run(read_rollouts(settings)).generations, settings.rollout.trials
    model = asyncio.run(_model_of(settings, state, generation))
    planned = planned_sessions(sessions, model)
    terms = {
        "share": None if share is None else share_of(share),
        "sessions": planned,
        "days": days,
        "promote": "at once" if promote_at_once else None,
    }
    named = {name: value for name, value in terms.items() if value is not None}
    error = next_error(state.past, SystemClock().now(), budget=chosen.errors_a_year)
    Terminal(stderr=True).print(power_table(error, planned))
    if advised := advice(sessions, model):
        Terminal(stderr=True).print(Text(advised))
    asked = new_request("trial", generation).model_copy(
        update={"trial": chosen.terms().model_copy(update=named)}
    )
    _report(_ask(asked), json_=json_)


@app.command()
def stop(generation: Name, json_: Json = False) -> None:
    """End the trial of a generation; the live one stays."""
    _report(_ask(new_request("stop", generation)), json_=json_)


@app.command()
def promote(
    generation: Name,
    force: Annotated[
        bool, typer.Option("--force", help="Also one whose model is undecided, without a trial.")
    ] = False,
    json_: Json = False,
) -> None:
    """Let a generation that is ready answer the searches; the one before stays warm."""
    _report(_ask(new_request("promote", generation).model_copy(update={"force": force})), json_=json_)


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


def _ask(request: Rollout) -> Rollout:
    """Send the request and return its final answer; shows how far a backfill is meanwhile."""
    settings = _settings()
    with bars(Terminal(stderr=True)) as progress:
        task = progress.add_task(f"{request.action} {request.generation}", total=None)

        def show_progress(
            candidate: GenerationEvidence, live: GenerationEvidence, lacking: list[str]
        ) -> None:
            what = lacking[0] if lacking else "canaries"
            progress.update(
                task,
                description=f"{request.generation}: {what}"[:70],
                total=live.documents or None,
                completed=candidate.documents,
            )

        async def enter_and_ask() -> Rollout:
            there = await enter(settings)
            return await ask(there, request, show_progress, missing=partial(missing, "rollout", there))

        return asyncio.run(enter_and_ask())


def _report(answer: Rollout, *, json_: bool) -> None:
    """Say what became of the request; exit 1 when it was refused."""
    if json_:
        print(answer.model_dump_json(exclude={"model"}))
    else:
        words = f"{answer.action} {answer.generation}: {answer.status}"
        Terminal().print(Text(f"{words}, {answer.reason}" if answer.reason else words))
    if answer.status == "refused":
        raise typer.Exit(1)


def _trial_row(settings: Settings, trial_: Trial) -> dict[str, Any]:  # Any: JSON
    from services.rollout.trials.scorer import read_standing  # noqa: PLC0415 - heavy, and for this path alone

    return trial_row(trial_, asyncio.run(read_standing(settings, trial_)))


async def _model_of(settings: Settings, state: Generations, generation: str) -> Model | None:
    """Return the model of a generation as `models.v1` has it now."""
    built = state.model(generation)
    return None if built is None else await CandidateModels(settings).find(built.model_id)


async def _gather_evidence(settings: Settings, log: RolloutLog) -> dict[str, GenerationEvidence]:
    redis = connect(settings)
    try:
        collector = EvidenceCollector(redis, settings)
        return {name: await collector.collect(name) for name in log.generations.served}
    finally:
        await redis.aclose()


def refused_builds(log: RolloutLog) -> list[dict[str, str]]:
    """Return why generations that never began were refused, the last of each name, newest last."""
    refused = {
        answer.generation: answer
        for answer in log.answers.values()
        if answer.action == "backfill" and answer.status == "refused"
    }
    return [
        {"generation": name, "model_id": answer.model_id or "", "reason": answer.reason}
        for name, answer in refused.items()
        if name not in log.generations.known
    ][-SHOWN_REFUSALS:]


def generation_row(
    generation: Generation, evidence: dict[str, GenerationEvidence], log: RolloutLog, settings: Settings
) -> dict[str, Any]:  # Any: JSON
    """Return what `status` shows of a generation; `lacks` says why it can not be promoted yet."""
    own, live = evidence.get(generation.name), evidence.get(log.generations.live or "")
    row: dict[str, Any] = {  # Any: JSON
        "generation": generation.name,
        "stage": generation.stage,
        "model_id": generation.model.model_id if generation.model else None,
        "products": own.documents if own else 0,
        "behind": own.lag if own else 0,
        "canaries": len(own.canaries) if own else 0,
        "low": sorted(
            name for name, canary in (own.canaries if own else {}).items() if canary.recall < canary.limit
        ),
        "lacks": [],
        "reason": generation.reason or (f"given up by {own.refused}" if own and own.refused else ""),
    }
    if own and live:
        row["lacks"] = waiting_for(own, live, most_behind=settings.rollout.most_behind)
    return row
