"""`headrace bench soak`: everything at once, for a long time."""

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.bench_parts import HELD, Broker, Data, Json, bars, catalogue_of, show

if TYPE_CHECKING:
    from services.lab.benchmarks.soak import Soak

MINUTE = 60.0


def soak(
    minutes: Annotated[float, typer.Option(help="So long, after the catalogue is loaded.", min=0.2)] = 30,
    rate: Annotated[float, typer.Option(help="Searches a second, of all kinds.", min=0.1)] = 10,
    upserts: Annotated[float, typer.Option(help="Products written anew a second.", min=0)] = 2,
    prices: Annotated[float, typer.Option(help="Price changes a second.", min=0)] = 10,
    deletes: Annotated[float, typer.Option(help="Deletes a second; each comes back.", min=0)] = 0.5,
    clicks: Annotated[float, typer.Option(help="Searches with a click a second.", min=0)] = 1,
    products: Annotated[int | None, typer.Option(help="Only so many products.", min=100)] = None,
    data: Data = None,
    broker: Broker = None,
    json: Json = False,
) -> None:
    """Let upserts, price changes, deletes, searches and clicks go on, and watch memory and errors.

    Exit 1 when a search failed, a change was never seen, a product is wrong at the end, or memory grew.
    """
    from dataclasses import replace  # noqa: PLC0415  lazy: see main

    from services.lab.benchmarks import soak as measured  # noqa: PLC0415  likewise
    from services.lab.benchmarks.harness import fresh  # noqa: PLC0415  likewise
    from services.lab.benchmarks.mixed_writes import WriteRates  # noqa: PLC0415  likewise

    catalogue = catalogue_of(data)
    catalogue = replace(catalogue, products=catalogue.products[:products])
    rates = WriteRates(upserts, prices, deletes, clicks)
    with bars() as progress, fresh(measured.WORKERS, broker) as stack:
        seen = measured.measure(
            stack, catalogue, seconds=minutes * MINUTE, rate=rate, rates=rates, progress=progress
        )
    broken = measured.broken(seen)
    if not json:
        _show_minutes(seen)
    rows = [*measured.rows(seen), *(measured.minute_rows(seen) if json else ())]
    show("soak", rows, as_json=json, verdict=broken or [HELD])
    raise typer.Exit(bool(broken))


def _show_minutes(seen: "Soak") -> None:
    """Print a line a minute."""
    from services.cli.listing import Listing  # noqa: PLC0415  lazy: see main
    from services.lab.benchmarks.loading import quantile  # noqa: PLC0415  likewise
    from services.lab.terminal import Terminal  # noqa: PLC0415  likewise

    columns = ("minute", "searches", "errors", "p50 ms", "p99 ms", "price p50", "p99", "new p50", "new p99")
    listing = Listing(*columns, right=columns)
    for number, minute in enumerate(seen.minutes, 1):
        prices, new = (seen.during(minute, kind) for kind in ("price change", "freshness"))
        times = [quantile(seconds, share) * 1000 for seconds in (prices, new) for share in (0.5, 0.99)]
        searches = minute.searches
        listing.add(
            str(number),
            str(len(searches.latencies)),
            str(searches.failed),
            *(f"{one:.1f}" for one in (searches.at(0.5), searches.at(0.99))),
            *(f"{one:.0f}" for one in times),
        )
    listing.show(Terminal(), empty="no minute has gone by")
