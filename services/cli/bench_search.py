"""`headrace bench search`: how fast searches are answered, and whether a load is answered in time."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.cli.bench_parts import HELD, Broker, Data, Json, bars, catalogue_of, show
from shared.infrastructure.ladder import Rung

if TYPE_CHECKING:
    from rich.progress import Progress

    from services.lab.benchmarks.load_test import LoadTarget
    from services.lab.simulation.catalogue import GradedCatalogue

MINUTE = 60.0


Products = Annotated[
    int, typer.Option(help="With copies, when there are not so many; 0: those of --data.", min=0)
]
Seconds = Annotated[float, typer.Option(help="Of the searches by many clients at once.", min=1)]
Rate = Annotated[float | None, typer.Option(help="A load test instead: so many searches a second.", min=0.1)]
Minutes = Annotated[float, typer.Option(help="Of the load test.", min=0.05)]
Slowest = Annotated[float, typer.Option(help="Its objective: milliseconds of 99 % of the searches.", min=0)]
Freshness = Annotated[
    float | None, typer.Option(help="Milliseconds within which 99 % of the price changes are seen.", min=0)
]
Changes = Annotated[
    float, typer.Option(help="Price changes a second, of products of its own; 0: none.", min=0)
]
Arrivals = Annotated[Literal["poisson", "fixed"], typer.Option(help="Searches come at random, or evenly.")]
Url = Annotated[str | None, typer.Option(help="A search API that runs; absent: an installation of its own.")]
Queries = Annotated[
    Path | None, typer.Option(help="File of queries, one a line; absent: those of --data.", exists=True)
]


def search(
    products: Products = 0,
    seconds: Seconds = 15,
    rate: Rate = None,
    minutes: Minutes = 1,
    p99: Slowest = 50,
    freshness: Freshness = None,
    changes: Changes = 2,
    arrivals: Arrivals = "poisson",
    url: Url = None,
    queries: Queries = None,
    data: Data = None,
    broker: Broker = None,
    json: Json = False,
) -> None:
    """Measure POST /search, beside FAISS, usearch, qdrant-edge and OpenSearch (OPENSEARCH_HOME).

    Exit 1 when a search that was measured was not answered whole.
    With --rate it is a load test: searches arrive whether or not those before them were answered. Exit 1
    when 99 % take longer than --p99, when any fails, or a price change is not seen.
    """
    if rate is None:
        if url is not None:
            raise typer.BadParameter("a running installation is put to a load test: give --rate")
        _compare(products, seconds, data, broker, as_json=json)
        return
    from services.lab.benchmarks import load_test  # noqa: PLC0415  lazy: see main

    objective = load_test.LoadObjective(
        rate, minutes * MINUTE, p99, poisson=arrivals == "poisson", changes=changes, freshness=freshness
    )
    catalogue = catalogue_of(data)
    texts = [query.text for query in catalogue.queries] if queries is None else _lines(queries)
    with bars() as progress, ExitStack() as stack:
        if url is not None:
            target = _running(url, texts)
        else:
            target = _own(
                stack, catalogue, texts, max(0, products - len(catalogue.products)), broker, progress
            )
        result, observations = load_test.measure(target, objective, progress=progress)
    broken = load_test.broken(result, observations, objective)
    rows = list(load_test.rows(result, observations, objective))
    show("search load", rows, as_json=json, verdict=broken or [HELD])
    raise typer.Exit(bool(broken))


def _compare(products: int, seconds: float, data: Path | None, broker: Rung | None, *, as_json: bool) -> None:
    from services.lab.benchmarks import search as measured  # noqa: PLC0415  lazy: see main
    from services.lab.benchmarks.harness import fresh  # noqa: PLC0415  likewise

    catalogue = catalogue_of(data)
    with bars() as progress:
        with fresh(measured.WORKERS, broker) as stack:
            indexed, asked, ours = measured.measure(
                stack, catalogue, products=products, seconds=seconds, progress=progress
            )
        peers, theirs = measured.compare(indexed, asked, seconds=seconds, progress=progress)
    broken = measured.broken(ours)
    rows = list(measured.rows(ours, theirs, peers, len(indexed.ids)))
    show("search", rows, as_json=as_json, verdict=broken or [HELD])
    raise typer.Exit(bool(broken))


def _running(url: str, texts: list[str]) -> "LoadTarget":
    from services.lab.benchmarks.load_test import LoadTarget  # noqa: PLC0415  lazy: see main
    from services.lab.search_client import token  # noqa: PLC0415  likewise
    from shared.infrastructure.running import discover  # noqa: PLC0415  likewise
    from shared.settings import Settings  # noqa: PLC0415  likewise

    return LoadTarget(discover(Settings.load()), url, texts, token=token())


def _own(
    context: ExitStack,
    catalogue: "GradedCatalogue",
    texts: list[str],
    copies: int,
    broker: Rung | None,
    progress: "Progress",
) -> "LoadTarget":
    """Start an installation that has the catalogue, until the context ends."""
    from services.lab.benchmarks.harness import fresh  # noqa: PLC0415  lazy: see main
    from services.lab.benchmarks.load_test import LoadTarget  # noqa: PLC0415  likewise
    from services.lab.benchmarks.search import WORKERS  # noqa: PLC0415  likewise
    from services.lab.benchmarks.search_material import fill  # noqa: PLC0415  likewise

    stack = context.enter_context(fresh(WORKERS, broker))
    fill(stack, catalogue, copies, progress)
    return LoadTarget(stack.settings, stack.url("search"), texts, log=True)


def _lines(file: Path) -> list[str]:
    """Return the queries of a file; raises `typer.BadParameter` when it has none."""
    lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
    if not any(lines):
        raise typer.BadParameter("no query in it", param_hint="--queries")
    return [line for line in lines if line]
