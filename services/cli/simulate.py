"""`headrace simulate`: shoppers whose behaviour is known send queries and events to the real topics."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table

from headrace.search_api import AsyncSearchClient
from services.cli.options import HIGHEST_GRADE
from services.cli.progress import bars
from services.lab.addresses import url as address
from services.lab.search_client import token
from services.lab.simulation import catalogue, delivery, shop
from services.lab.simulation.delivery import DeliveryReport, ShopFrontEnd
from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import Ranker, Simulation, Traffic, stream
from services.lab.terminal import Terminal
from shared.clock import SystemClock
from shared.infrastructure.running import discover
from shared.kafka.client import require_topics
from shared.kafka.publisher import KafkaPublisher
from shared.settings import Settings

app = typer.Typer(add_completion=False)

HASTE = 100.0
"""Live shoppers do in a second what takes others minutes, so that their events follow at once."""


@app.command()
def simulate(
    sessions: Annotated[int, typer.Option(help="Sessions, each of one to four queries.", min=1)] = 500,
    rate: Annotated[
        float | None,
        typer.Option(help="Messages (with --live: searches) a second; absent: as fast as it goes.", min=0.1),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed and --until write the same messages.")] = 1,
    data: Annotated[
        Path | None,
        typer.Option(help="Directory with docs.jsonl.gz, queries.tsv, qrels.tsv; absent: the sample shop."),
    ] = None,
    highest_grade: Annotated[float | None, HIGHEST_GRADE] = None,
    live: Annotated[bool, typer.Option("--live", help="Shoppers use the search API, now.")] = False,
    url: Annotated[str | None, typer.Option(help="The search API; absent: the one that runs here.")] = None,
    days: Annotated[float, typer.Option(help="Sessions are spread over so many days.", min=0)] = 7,
    until: Annotated[datetime | None, typer.Option(help="When sessions end (UTC); absent: now.")] = None,
    duplicates: Annotated[float, typer.Option(help="Share of messages sent twice.", min=0, max=1)] = 0.1,
    disorder: Annotated[float, typer.Option(help="Share of messages held up.", min=0, max=1)] = 0.2,
    late: Annotated[float, typer.Option(help="Share of events up to two days late.", min=0, max=1)] = 0.01,
    robots: Annotated[float, typer.Option(help="Share of sessions of robots.", min=0, max=1)] = 0.005,
    truth: Annotated[Path | None, typer.Option(help="Write what really happened to this file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, not a table.")] = False,
) -> None:
    """Send shoppers with a known click model to the topics (UBI 1.3 queries and events)."""
    traffic = Traffic(
        sessions=sessions,
        until=until.replace(tzinfo=UTC) if until else SystemClock().now(),
        span=timedelta(days=days),
        seed=seed,
        robots=robots,
        duplicates=duplicates,
        disorder=disorder,
        late=late,
        haste=HASTE if live else 1.0,
    )
    graded = catalogue.load(data, highest_grade) if data else shop.sample()
    simulation = Simulation(graded, ClickModel(), traffic)
    settings = discover(Settings.load())
    url = (url or address("search", settings)) if live else None
    report, seconds = asyncio.run(_run(settings, simulation, url=url, rate=rate))
    if truth is not None:
        _save(simulation, truth)
    _report(simulation, report, seconds, as_json=json)


async def _run(
    settings: Settings, simulation: Simulation, *, url: str | None, rate: float | None
) -> tuple[DeliveryReport, float]:
    await require_topics(settings, [])
    publisher, loop = KafkaPublisher(settings), asyncio.get_running_loop()
    await publisher.start()
    began = loop.time()
    try:
        with bars(Terminal(stderr=True)) as shown:
            bar = shown.add_task("searches" if url else "messages", total=None)

            def progress(done: int) -> None:
                shown.advance(bar, done)

            if url is None:
                arrivals = stream(
                    simulation, Ranker.blurred(simulation.catalogue, seed=simulation.traffic.seed)
                )
                report = await delivery.write(arrivals, publisher, rate=rate, progress=progress)
            else:
                report = await _live(simulation, publisher, url=url, rate=rate, progress=progress)
            shown.update(bar, total=shown.tasks[bar].completed)
    finally:
        await publisher.stop()
    return report, loop.time() - began


async def _live(
    simulation: Simulation,
    publisher: KafkaPublisher,
    *,
    url: str,
    rate: float | None,
    progress: delivery.Progress,
) -> DeliveryReport:
    clock = SystemClock()
    async with AsyncSearchClient(url, token=token()) as client:
        front_end = ShopFrontEnd(client, clock)
        return await delivery.live(
            simulation, front_end, publisher, clock=clock, rate=rate, progress=progress
        )


def _save(simulation: Simulation, file: Path) -> None:
    traffic = asdict(simulation.traffic)
    traffic["span"] = simulation.traffic.span.total_seconds()
    traffic["hold_up"] = simulation.traffic.hold_up.total_seconds()
    traffic["lateness"] = simulation.traffic.lateness.total_seconds()
    content = {"traffic": traffic, "model": asdict(simulation.model), "pairs": simulation.truth.table()}
    file.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))


def _report(simulation: Simulation, report: DeliveryReport, seconds: float, *, as_json: bool) -> None:
    actions = dict(simulation.truth.totals().most_common())
    robots = sum(sum(tally.values()) for tally in simulation.truth.robots.values())
    if as_json:
        figures = {**asdict(report), "seconds": seconds, "actions": actions, "robot_actions": robots}
        print(orjson.dumps(figures).decode())
        return
    table = Table("shoppers' actions", "count", title=f"{report.messages:,} messages in {seconds:.1f} s")
    for action, count in actions.items():
        table.add_row(action, f"{count:,}")
    table.add_row("robots' impressions and clicks", f"{robots:,}", style="dim")
    Terminal().print(table)
