"""`headrace bench search`: how fast searches are answered."""

from typing import Annotated

import typer

from services.cli.bench_parts import Broker, Data, Json, bars, catalogue_of, show


def search(
    products: Annotated[
        int, typer.Option(help="With copies, when there are not so many; 0: those of --data.", min=0)
    ] = 0,
    seconds: Annotated[float, typer.Option(help="Of the searches by many clients at once.", min=1)] = 15,
    data: Data = None,
    broker: Broker = None,
    json: Json = False,
) -> None:
    """Measure POST /search, beside FAISS, usearch, qdrant-edge and OpenSearch (OPENSEARCH_HOME)."""
    from services.lab.benchmarks import search as measured  # noqa: PLC0415  lazy: see main
    from services.lab.benchmarks.harness import fresh  # noqa: PLC0415  lazy: see main

    catalogue = catalogue_of(data)
    with bars() as progress:
        with fresh(measured.WORKERS, broker) as stack:
            indexed, asked, ours = measured.measure(
                stack, catalogue, products=products, seconds=seconds, progress=progress
            )
        peers, theirs = measured.compare(indexed, asked, seconds=seconds, progress=progress)
    show("search", list(measured.rows(ours, theirs, peers, len(indexed.ids))), as_json=json)
