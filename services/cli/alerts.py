"""`headrace alerts tail | resolve`: what broke or drifted, as it happens, and the word that it is mended."""

import asyncio
import json
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.alerts import Alert
from services.lab.terminal import Terminal
from services.monitor.alerts.requests import close, open_alerts, read
from shared.clock import SystemClock
from shared.infrastructure.running import discover
from shared.settings import Settings

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Follow the alerts, or close one.")
SEVERITY = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
STATUS = {"firing": "bold red", "updated": "yellow", "resolved": "green"}


@app.command()
def tail(
    json_: Annotated[
        bool, typer.Option("--json", help="One JSON object; with --follow, one a line for each alert.")
    ] = False,
    follow: Annotated[
        bool | None, typer.Option("--follow/--no-follow", help="Go on until Ctrl-C (usual without --open).")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Only the alerts that are not resolved.")] = False,
    last: Annotated[int, typer.Option(help="Begin with so many of the past.", min=0)] = 20,
) -> None:
    """Show the latest alerts and go on as they come, or list the open ones; reads `alerts.v1` itself."""
    settings = discover(Settings.load())
    follow = not open_ if follow is None else follow
    console = Terminal(highlight=False, soft_wrap=True)
    with suppress(KeyboardInterrupt):
        asyncio.run(_tail(settings, AlertPrinter(console, json_, follow, open_, last)))


@app.command()
def resolve(
    alert_key: Annotated[list[str], typer.Argument(help="Which ones, as `tail --open` shows them.")],
    note: Annotated[str, typer.Option(help="What was done; it is kept in the alert.")] = "",
) -> None:
    """Say that something is mended of which only a person can know it, such as messages that were gone.

    All other alerts resolve by themselves when what they saw is over.
    """
    closed = asyncio.run(close(discover(Settings.load()), alert_key, note=note, now=SystemClock().now()))
    for alert in closed:
        Terminal(highlight=False, soft_wrap=True).print(alert_line(alert))


class AlertPrinter:
    """What is printed, and in which form."""

    def __init__(self, console: Console, json_: bool, follow: bool, open_: bool, last: int) -> None:
        self.console, self.json, self.follow, self.open, self.last = console, json_, follow, open_, last

    def past(self, history: list[Alert]) -> None:
        """Print what was there at the start."""
        alerts = open_alerts(history) if self.open else history[len(history) - min(self.last, len(history)) :]
        if self.json and not self.follow:
            print(json.dumps({"alerts": [alert.model_dump(mode="json") for alert in alerts]}))
        elif self.open and not self.json:
            self.console.print(alert_table(alerts) if alerts else "no open alerts")
        else:
            for alert in alerts:
                self.one(alert)

    def one(self, alert: Alert) -> None:
        """Print one alert."""
        if self.json:
            print(alert.model_dump_json(), flush=True)
        else:
            self.console.print(alert_line(alert))


async def _tail(settings: Settings, printer: AlertPrinter) -> None:
    history: list[Alert] = []
    in_the_past = True
    async for alert in read(settings, follow=printer.follow):
        if alert is None:
            printer.past(history)
            in_the_past = False
        elif in_the_past:
            history.append(alert)
        else:
            printer.one(alert)


def alert_line(alert: Alert) -> Text:
    """Return an alert as a line for people; the action below it while it is open."""
    text = Text.assemble(
        (f"{alert.updated_at.astimezone():%m-%d %H:%M:%S} ", "dim"),
        (f"{alert.status:9}", STATUS[alert.status]),
        (f"{alert.severity:9}", SEVERITY[alert.severity]),
        (alert.alert_key, "bold"),
        f"  {alert.summary}",
    )
    if alert.status != "resolved":
        text.append(f"\n{'':15}→ {alert.action}{_cause(alert)}", style="dim")
    return text


def alert_table(alerts: list[Alert]) -> Table:
    """Return open alerts as a table."""
    table = Table(box=None, pad_edge=False)
    for column in ("since", "severity", "alert"):
        table.add_column(column, no_wrap=True)
    table.add_column("what is wrong, and what to do")
    for alert in alerts:
        table.add_row(
            f"{alert.started_at.astimezone():%m-%d %H:%M}",
            Text(alert.severity, style=SEVERITY[alert.severity]),
            Text(alert.alert_key, style="bold"),
            Text.assemble(alert.summary, (f"\n→ {alert.action}{_cause(alert)}", "dim")),
        )
    return table


def _cause(alert: Alert) -> str:
    return "" if alert.cause == "unknown" else f" (looks like a {alert.cause})"
