"""`headrace demo`: the whole loop at work on a sample shop; then it is yours to try, until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.options import HIGHEST_GRADE

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    exit_: Annotated[bool, typer.Option("--exit", help="End after the last scene; 1 if one failed.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Directory with docs.jsonl.gz, queries.tsv, qrels.tsv; absent: the sample shop."),
    ] = None,
    highest_grade: Annotated[float | None, HIGHEST_GRADE] = None,
    external: Annotated[
        bool, typer.Option("--external", help="Play on what already runs (settings, or `headrace up`).")
    ] = False,
    products: Annotated[int, typer.Option(help="Size of the sample shop.", min=200)] = 3000,
    learn: Annotated[
        bool, typer.Option("--learn", help="Show the learning loop instead: shoppers teach a new model.")
    ] = False,
    sessions: Annotated[
        int, typer.Option(help="With --learn: sessions from which the model learns.", min=100)
    ] = 20_000,
    trial_sessions: Annotated[
        int, typer.Option(help="With --learn: interleaved sessions of its trial, at most.", min=400)
    ] = 20_000,
) -> None:
    """See the whole loop at work: catalogue, search, shoppers, judgements, canaries, alerts."""
    from shared.extras import TORCH, require  # noqa: PLC0415 - `--help` does without it

    if learn:
        require("`headrace demo --learn`", *TORCH)
    from services.cli.demo_play import play  # noqa: PLC0415 - as above

    held = play(
        data,
        products,
        highest_grade=highest_grade,
        external=external,
        stay=not exit_,
        learn=learn,
        sessions=sessions,
        trial_sessions=trial_sessions,
    )
    if not held:
        raise typer.Exit(1)
