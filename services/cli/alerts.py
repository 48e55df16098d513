"""`headrace alerts tail | resolve`: what broke or drifted, as it happens, and the word that it is mended."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Annotated

import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.alerts import Alert
from shared.adapters.consumer import Consumer
from shared.adapters.kafka import KafkaPublisher, connection
from shared.clock import SystemClock
from shared.errors import ConfigurationError, TransientError
from shared.infrastructure.running import discover
from shared.ports import outgoing
from shared.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Follow the alerts, or close one.")
POLL_MS = 300
SEVERITY = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
STATUS = {"firing": "bold red", "updated": "yellow", "resolved": "green"}
ORDER = tuple(SEVERITY)


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
    console = Console(highlight=False, soft_wrap=True)
    with suppress(KeyboardInterrupt):
        asyncio.run(_tail(settings, Shown(console, json_, follow, open_, last)))


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
        Console(highlight=False, soft_wrap=True).print(line(alert))


async def close(settings: Settings, keys: list[str], *, note: str, now: datetime) -> list[Alert]:
    """Publish these alerts as resolved: all of them, or none and `ConfigurationError`."""
    latest = {alert.alert_key: alert async for alert in read(settings, follow=False) if alert is not None}
    resolved = [by_hand(key, latest.get(key), note=note, now=now) for key in dict.fromkeys(keys)]
    publisher = KafkaPublisher(settings)
    await publisher.start()
    try:
        await publisher.publish([outgoing(alert) for alert in resolved])
    finally:
        await publisher.stop()
    return resolved


def by_hand(key: str, alert: Alert | None, *, note: str, now: datetime) -> Alert:
    """Return the alert resolved; raises `ConfigurationError` when it is not for people to close."""
    if alert is None or alert.status == "resolved":
        raise ConfigurationError(
            f"no alert {key} is open: `headrace alerts tail --open` shows those that are"
        )
    if alert.resolution == "automatic":
        raise ConfigurationError(f"{key} resolves by itself when what it saw is over. To do: {alert.action}")
    return alert.model_copy(
        update={
            "status": "resolved",
            "summary": f"{alert.summary} (closed by hand{': ' * bool(note)}{note})",
            "action": "nothing to do",
            "updated_at": max(now, alert.updated_at),
        }
    )


class Shown:
    """What is printed, and in which form."""

    def __init__(self, console: Console, json_: bool, follow: bool, open_: bool, last: int) -> None:
        self.console, self.json, self.follow, self.open, self.last = console, json_, follow, open_, last

    def past(self, history: list[Alert]) -> None:
        """Print what was there at the start."""
        chosen = open_ones(history) if self.open else history[len(history) - min(self.last, len(history)) :]
        if self.json and not self.follow:
            print(json.dumps({"alerts": [alert.model_dump(mode="json") for alert in chosen]}))
        elif self.open and not self.json:
            self.console.print(table(chosen) if chosen else "no open alerts")
        else:
            for alert in chosen:
                self.one(alert)

    def one(self, alert: Alert) -> None:
        """Print one alert."""
        if self.json:
            print(alert.model_dump_json(), flush=True)
        else:
            self.console.print(line(alert))


async def _tail(settings: Settings, shown: Shown) -> None:
    history: list[Alert] = []
    past = True
    async for alert in read(settings, follow=shown.follow):
        if alert is None:
            shown.past(history)
            past = False
        elif past:
            history.append(alert)
        else:
            shown.one(alert)


async def read(settings: Settings, *, follow: bool) -> AsyncIterator[Alert | None]:
    """Yield the alerts on the topic, then None where its end was, then (if asked) what comes later."""
    consumer = Consumer(**connection(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    at = TopicPartition(settings.topic_prefix + Alert.topic, 0)
    try:
        await consumer.start()
        consumer.assign([at])
        end = (await consumer.end_offsets([at]))[at]
        while await consumer.position(at) < end:
            async for alert in _some(consumer):
                yield alert
        yield None
        while follow:
            async for alert in _some(consumer):
                yield alert
    except (KafkaError, OSError) as error:
        raise TransientError(f"cannot read {at.topic} from {settings.kafka}: {error!r}") from error
    finally:
        await consumer.stop()


async def _some(consumer: AIOKafkaConsumer) -> AsyncIterator[Alert]:
    for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
        for record in records:
            with suppress(ValidationError):  # a tombstone, or what is no alert
                yield Alert.decode(record.value or b"")


def open_ones(history: list[Alert]) -> list[Alert]:
    """Return the last state of every alert that is not resolved, most severe and oldest first."""
    latest = {alert.alert_key: alert for alert in history}
    alive = [alert for alert in latest.values() if alert.status != "resolved"]
    return sorted(alive, key=lambda alert: (ORDER.index(alert.severity), alert.started_at))


def line(alert: Alert) -> Text:
    """Return an alert as a line for people; the action below it while it is open."""
    text = Text.assemble(
        (f"{alert.updated_at.astimezone():%m-%d %H:%M:%S} ", "dim"),
        (f"{alert.status:9}", STATUS[alert.status]),
        (f"{alert.severity:9}", SEVERITY[alert.severity]),
        (alert.alert_key, "bold"),
        f"  {alert.summary}",
    )
    if alert.status != "resolved":
        kind = "" if alert.cause == "unknown" else f" (looks like a {alert.cause})"
        text.append(f"\n{'':15}→ {alert.action}{kind}", style="dim")
    return text


def table(alerts: list[Alert]) -> Table:
    """Return open alerts as a table."""
    made = Table(box=None, pad_edge=False)
    for column in ("since", "severity", "alert"):
        made.add_column(column, no_wrap=True)
    made.add_column("what is wrong, and what to do")
    for alert in alerts:
        kind = "" if alert.cause == "unknown" else f" (looks like a {alert.cause})"
        made.add_row(
            f"{alert.started_at.astimezone():%m-%d %H:%M}",
            Text(alert.severity, style=SEVERITY[alert.severity]),
            Text(alert.alert_key, style="bold"),
            Text.assemble(alert.summary, (f"\n→ {alert.action}{kind}", "dim")),
        )
    return made
