"""`headrace bench ingest | judgements | ...`: what this machine does, beside what it could do."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from services.cli.bench_kinds import kinds
from services.cli.bench_parts import HELD, Broker, Data, Json, bars, catalogue_of, show
from services.cli.bench_search import search
from services.cli.bench_soak import soak

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Measure throughput and freshness on this machine."
)


@app.command()
def ingest(
    data: Data = None,
    products: Annotated[int | None, typer.Option(help="Only so many products.", min=100)] = None,
    lives: Annotated[
        int, typer.Option(help="Products written, changed and deleted one by one for freshness.", min=0)
    ] = 100,
    broker: Broker = None,
    json: Json = False,
) -> None:
    """Measure documents, price changes and re-delivery a second, and freshness, through the real path."""
    from services.lab.benchmarks import ingest as measured  # noqa: PLC0415  lazy: see main
    from services.lab.benchmarks.harness import fresh  # noqa: PLC0415  lazy: see main

    chosen = catalogue_of(data).products[:products]
    with bars() as progress, fresh(measured.WORKERS, broker) as stack:
        rows = measured.measure(stack, chosen, lives=lives, progress=progress)
    show("ingest", rows, as_json=json)


@app.command()
def backfill(
    products: Annotated[int, typer.Option(help="Of a catalogue that is made for it.", min=1000)] = 20_000,
    rate: Annotated[float, typer.Option(help="Price changes a second, the whole time.", min=0.1)] = 5,
    embedders: Annotated[int, typer.Option(help="Processes that share the partitions.", min=1)] = 1,
    broker: Broker = None,
    json: Json = False,
) -> None:
    """Measure a catalogue from nothing to searchable, then a second generation, under price changes.

    Exit 1 when a promise did not hold: it is said which.
    """
    from services.lab.benchmarks import backfill as measured  # noqa: PLC0415  lazy: see main
    from services.lab.benchmarks.harness import fresh  # noqa: PLC0415  lazy: see main

    workers = (*measured.WORKERS, *[measured.EMBEDDER] * (embedders - 1))
    with (
        TemporaryDirectory(prefix="headrace-bench-") as work,
        bars() as progress,
        fresh(workers, broker, measured.ENVIRONMENT) as stack,
    ):
        rows, broken = measured.measure(stack, products, rate=rate, work=Path(work), progress=progress)
    show("backfill", rows, as_json=json, verdict=broken or [HELD])
    raise typer.Exit(bool(broken))


@app.command()
def restarts(
    products: Annotated[int, typer.Option(help="Of a catalogue that is made for it.", min=500)] = 2000,
    broker: Broker = None,
    json: Json = False,
) -> None:
    """Count texts embedded again: all delivered again, a drain and a kill -9 in the midst of a backfill.

    Exit 1 when a promise did not hold: it is said which.
    """
    from services.lab.benchmarks import restarts as measured  # noqa: PLC0415  lazy: see main
    from services.lab.benchmarks.backfill import ENVIRONMENT, WORKERS  # noqa: PLC0415  likewise
    from services.lab.benchmarks.harness import fresh  # noqa: PLC0415  likewise

    with (
        TemporaryDirectory(prefix="headrace-bench-") as work,
        bars() as progress,
        fresh(WORKERS, broker, ENVIRONMENT) as stack,
    ):
        rows, broken = measured.measure(stack, products, work=Path(work), progress=progress)
    show("restarts", rows, as_json=json, verdict=broken or [HELD])
    raise typer.Exit(bool(broken))


@app.command()
def load(
    products: Annotated[int, typer.Option(help="Of a file that is made for it.", min=1000)] = 1_000_000,
    broker: Broker = None,
    json: Json = False,
) -> None:
    """Load a file of products to the broker's acknowledgement: whole, and killed half-way and gone on.

    Exit 1 when a product is missing.
    """
    from services.lab.benchmarks import file_load as measured  # noqa: PLC0415  lazy: see main
    from services.lab.benchmarks.harness import fresh  # noqa: PLC0415  likewise

    with (
        TemporaryDirectory(prefix="headrace-bench-") as work,
        bars() as progress,
        fresh((), broker) as stack,
    ):
        rows, broken = measured.measure(stack, products, work=Path(work), progress=progress)
    show("load", rows, as_json=json, verdict=broken or [HELD])
    raise typer.Exit(bool(broken))


@app.command()
def encoder(
    model: Annotated[
        Path | None, typer.Option(help="A model directory; absent: the configured one.", exists=True)
    ] = None,
    texts: Annotated[int, typer.Option(help="So many titles.", min=16)] = 256,
    data: Data = None,
    json: Json = False,
) -> None:
    """Measure texts a CPU-second in each runtime, beside `model.encode` and each runtime's bare loop."""
    from services.lab.benchmarks import encoder as measured  # noqa: PLC0415  lazy: see main
    from shared.settings import Settings  # noqa: PLC0415  likewise

    settings = Settings.load().model
    chosen = settings if model is None else settings.model_copy(update={"path": model})
    titles = [product.title for product in catalogue_of(data).products[:texts]]
    with bars() as progress:
        rows = measured.measure(chosen, titles, progress=progress)
    show("encoder", rows, as_json=json)


@app.command()
def judgements(
    sessions: Annotated[
        int, typer.Option(help="Sessions of the largest log; two smaller ones go before it.", min=90)
    ] = 5400,
    seed: Annotated[int, typer.Option(help="Of the simulation.")] = 1,
    data: Data = None,
    broker: Broker = None,
    json: Json = False,
) -> None:
    """Measure events a CPU-second, recount them, and hold the rates against the shoppers' true taste."""
    from services.lab.benchmarks import judgements as measured  # noqa: PLC0415  lazy: see main

    catalogue = catalogue_of(data)
    with bars() as progress:
        rows = measured.measure(catalogue, sessions=sessions, seed=seed, broker=broker, progress=progress)
    show("judgements", rows, as_json=json)


@app.command()
def learn(
    folds: Annotated[int, typer.Option(help="Parts of the queries; each is novel once.", min=2, max=20)] = 3,
    sessions: Annotated[int, typer.Option(help="Shoppers' sessions to learn from.", min=100)] = 20_000,
    seed: Annotated[int, typer.Option(help="Of shoppers, folds and fits.")] = 1,
    work: Annotated[
        Path | None, typer.Option(help="Where a run that was stopped goes on; absent: it begins anew.")
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Measure what each part of the learning loop adds, on human grades, with paired intervals."""
    from services.lab.benchmarks.learn import Bench  # noqa: PLC0415  lazy: see main

    catalogue = catalogue_of(data)
    with bars() as progress, TemporaryDirectory(prefix="headrace-bench-") as fresh:
        rows = Bench(catalogue, folds, seed, progress, work or Path(fresh)).measure(sessions)
    show("learn", rows, as_json=json)


@app.command()
def gate(
    sessions: Annotated[
        list[int] | None, typer.Option(help="Of a log; several times for several.", min=100)
    ] = None,
    candidates: Annotated[int, typer.Option(help="So many of the first table.", min=1)] = 12,
    seed: Annotated[int, typer.Option(help="Of shoppers, fits and trials.")] = 1,
    full: Annotated[
        bool, typer.Option("--full", help="All candidates, and each term's fits: hours.")
    ] = False,
    work: Annotated[
        Path | None, typer.Option(help="Where a run that was stopped goes on; absent: it begins anew.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the table into this file (PNG, SVG).")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Measure whether the gate and a trial keep the better models, beside the rule of before."""
    from services.lab.benchmarks import gate_plan, gate_rows  # noqa: PLC0415  lazy: see main
    from services.lab.benchmarks.gate import GateBench  # noqa: PLC0415  lazy: see main

    if full and work is None:
        raise typer.BadParameter(
            "the full table takes hours: name a directory, so that it can go on", param_hint="--work"
        )
    sizes = sessions or [20_000, 5_000, 1_000]
    specs = gate_plan.full_table(sizes, seed) if full else gate_plan.first_of_table(sizes, seed, candidates)
    catalogue = catalogue_of(data)
    with bars() as progress, TemporaryDirectory(prefix="headrace-bench-") as fresh:
        rows, outcomes = gate_rows.measure(GateBench(catalogue, work or Path(fresh), progress, seed), specs)
    if plot is not None:
        gate_rows.plot(outcomes, plot)
    show("gate", rows, as_json=json)


@app.command()
def shards(
    rows: Annotated[int, typer.Option(help="Products in the shard.", min=1000)] = 20000,
    data: Data = None,
    json: Json = False,
) -> None:
    """Measure one shard: upserts, search, recall and reopening, beside FAISS' flat scan."""
    from services.lab.benchmarks import shards as measured  # noqa: PLC0415  lazy: see main

    catalogue = catalogue_of(data)
    with bars() as progress:
        report_rows = measured.measure(catalogue, rows, progress=progress)
    show("shards", report_rows, as_json=json)


@app.command()
def drift(
    days: Annotated[int, typer.Option(help="Stationary days, over several shops.", min=60)] = 4000,
    every: Annotated[float, typer.Option(help="Days between two false alarms, as stated.", min=0.5)] = 10,
    seed: Annotated[int, typer.Option(help="Of the simulation.")] = 1,
    data: Data = None,
    json: Json = False,
) -> None:
    """Count false alarms on stationary traffic, then break the shop and time the alarms."""
    from datetime import timedelta  # noqa: PLC0415  lazy: see main

    from services.lab.benchmarks import drift as measured  # noqa: PLC0415  lazy: see main
    from shared.settings import Settings  # noqa: PLC0415  lazy: see main

    plan = measured.FalseAlarmPlan(days=days, every=timedelta(days=every), seed=seed)
    catalogue = catalogue_of(data)
    with bars() as progress:
        rows = measured.measure(catalogue, Settings.load().model, plan, progress=progress)
    show("drift", rows, as_json=json)


@app.command()
def trial(
    products: Annotated[int | None, typer.Option(help="Only so many products.", min=100)] = None,
    searches: Annotated[int, typer.Option(help="Of each arm.", min=10)] = 500,
    data: Data = None,
    broker: Broker = None,
    json: Json = False,
) -> None:
    """Measure searches that two generations answer, beside those of the live one alone."""
    from services.lab.benchmarks import interleaving as measured  # noqa: PLC0415  lazy: see main
    from services.lab.benchmarks.harness import fresh  # noqa: PLC0415  lazy: see main

    chosen = catalogue_of(data).products[:products]
    with bars() as progress, fresh(measured.WORKERS, broker) as stack:
        rows = measured.measure(stack, chosen, searches=searches, progress=progress)
    show("trial", rows, as_json=json)


app.command()(search)
app.command()(soak)
app.command()(kinds)
