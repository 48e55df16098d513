"""`headrace evaluate --data DIR`: search quality on a data set with grades.

Through the real path, or, with `--model DIR`, of a model alone, at every size and precision.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import stamina
import typer
from rich.console import Console
from rich.progress import Progress

from services.cli import loading
from services.cli.progress import bars
from services.cli.report import Report, Row
from services.cli.search_client import SearchClient
from services.cli.simulation.catalogue import Catalogue, Query, load
from services.cli.up import local_stack
from shared import quality
from shared.encoder.directory import model_directory
from shared.errors import ConfigurationError, TransientError
from shared.infrastructure.ladder import Rung
from shared.infrastructure.running import discover, read
from shared.settings import Settings

app = typer.Typer()

WORKERS = ("shards", "embedder", "search")
MODES = ("lexical", "dense", "hybrid")
READY = timedelta(minutes=10)
ONLINE = ("nDCG@10", "R@10", "R@50", "RR@10", "judged@10")
PATIENCE = 5
PATIENT_MS = 30_000
"""Quality is measured, not speed: a busy machine must not make an answer partial."""


@app.command()
def evaluate(
    data: Annotated[
        Path, typer.Option(help="Directory with docs.jsonl.gz, queries.tsv, qrels.tsv.", exists=True)
    ],
    broker: Annotated[
        Rung | None, typer.Option(help="Broker to start when nothing runs; absent: the embedded one.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where to keep what is started; absent: `evaluate` in the usual one.")
    ] = None,
    changes: Annotated[
        int, typer.Option(help="Live changes whose freshness is measured; 0: none.", min=0)
    ] = 20,
    model: Annotated[
        Path | None, typer.Option(help="Judge this model directory alone, without a broker.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Hold it against this one, with paired intervals.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG with quality beside bytes a document.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure nDCG, recall, reciprocal rank and freshness; starts what is not running."""
    catalogue = load(data)
    if model is not None:
        Report("evaluate", _of_model(catalogue, model, against, plot=plot, costs=json)).show(as_json=json)
        return
    if against or plot:
        raise ConfigurationError("--against and --plot go with --model")
    rows = _online(catalogue, data_dir, broker, changes=changes)
    Report("evaluate", rows).show(as_json=json)


def _of_model(
    catalogue: Catalogue, model: Path, against: Path | None, *, plot: Path | None, costs: bool
) -> list[Row]:
    from services.cli import matrix  # noqa: PLC0415 - imports torch, which the real path does without

    chosen, other = (
        Settings.load().model.model_copy(update={"path": it}) for it in (model, against or model)
    )
    for each in (chosen, other):
        model_directory(each.path)
    found = matrix.evaluated(catalogue, chosen, other)
    if plot is not None:
        matrix.plot(found, plot)
    return list(matrix.rows(found, alone=against is None, costs=costs))


def _online(catalogue: Catalogue, data_dir: Path | None, broker: Rung | None, *, changes: int) -> list[Row]:
    console = Console(stderr=True)
    with (
        installation(data_dir, broker) as settings,
        SearchClient.of(settings) as client,
        bars(console) as progress,
    ):
        loaded = loading.load(settings, client, catalogue, progress=progress)
        rows = [row for mode in MODES for row in judge(client, catalogue, mode, progress)]
        live = loading.live_changes(settings, client, changes, progress=progress) if changes else []
    if loaded.others:
        console.print(f"{loaded.others:,} other products are in the index: figures are lower bounds")
    return [*rows, *loaded.rows(), *live]


def judge(client: SearchClient, catalogue: Catalogue, mode: str, progress: Progress) -> list[Row]:
    """Ask every query in one mode, and hold the answers against the grades."""
    bar = progress.add_task(f"queries, {mode}", total=len(catalogue.queries))
    ranked: dict[str, Sequence[str]] = {}
    times: list[float] = []
    for query in catalogue.queries:
        began = time.perf_counter()
        ranked[query.id] = _answer(client, query, mode)
        times.append(time.perf_counter() - began)
        progress.advance(bar)
    figures = quality.figures(catalogue.grades, ranked, ONLINE)
    rows = [
        Row(f"{mode} {name}", figure.mean, note=f"± {figure.half_width:.4f} (95 %, {figure.count} queries)")
        for name, figure in figures.items()
    ]
    middle = sorted(times)[len(times) // 2] * 1000
    headline = [Row("nDCG@10", rows[0].value, bound=GOAL, note="hybrid")] if mode == "hybrid" else []
    return [*headline, *rows, Row(f"{mode} search p50", middle, "ms", note="whole round trip, one at a time")]


GOAL = 0.62
"""nDCG@10 of hybrid search on the ESCI sample out of the box."""


@stamina.retry(on=TransientError, attempts=PATIENCE, timeout=None, wait_initial=1.0)
def _answer(client: SearchClient, query: Query, mode: str) -> list[str]:
    """Return the first 50 products, best first; no or an incomplete answer is asked for again."""
    answer = client.search(
        text=query.text, k=quality.DEPTH, mode=mode, fields=[], log=False, timeout_ms=PATIENT_MS
    )
    if answer["partial"]:
        missing = [each for each in answer["partitions"] if not each["answered"]]
        raise TransientError(f"the index does not answer in full: {missing[0]['reason']}")
    return [hit["product_id"] for hit in answer["hits"]]


@contextmanager
def installation(data_dir: Path | None, broker: Rung | None) -> Iterator[Settings]:
    """Give the settings of what runs here, or start it and stop it afterwards."""
    settings = Settings.load(data_dir=data_dir)
    if read(settings.data_dir) is not None:
        yield discover(settings)
        return
    directory = data_dir or settings.data_dir / "evaluate"
    stack = local_stack(settings.model_copy(update={"data_dir": directory}), WORKERS, broker=broker)
    with stack:
        stack.wait_ready(within=READY)
        yield discover(stack.settings)
