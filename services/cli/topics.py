"""`headrace topics list | diff | apply | show`."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import duration

if TYPE_CHECKING:
    from shared.infrastructure.topic_plan import TopicDifference
    from shared.records import Record
    from shared.settings import Settings

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Create the topics, or show how they differ from the plan.",
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Wait = Annotated[timedelta, duration("--wait", help_="Wait so long for the broker.")]
STYLES = {"unchanged": "dim", "create": "green"}


def _settings() -> "Settings":
    from shared.infrastructure.running import discover  # noqa: PLC0415  lazy: see main
    from shared.settings import Settings  # noqa: PLC0415  lazy: see main

    return discover(Settings.load())


@app.command("list")
def list_(json_: Json = False) -> None:
    """List the topics as they should be; asks no broker."""
    from schemas.topics import all_topics  # noqa: PLC0415  lazy: see main
    from shared.infrastructure.topic_plan import wanted_topics  # noqa: PLC0415  lazy: see main

    settings = _settings()
    rows = [
        {
            "topic": wanted.name,
            "key": spec.key,
            "message": spec.message.__name__,
            "partitions": wanted.partitions,
            "cleanup": spec.cleanup,
            "retention": "by key" if spec.cleanup == "compact" else _retention(spec.retention),
            "description": spec.description,
        }
        for spec, wanted in zip(all_topics(settings.generation), wanted_topics(settings), strict=True)
    ]
    if json_:
        print(json.dumps({"topics": rows}))
        return
    from services.cli.listing import Listing  # noqa: PLC0415  lazy: see main
    from services.lab.terminal import Terminal  # noqa: PLC0415  lazy: see main

    columns = ("topic", "partitions", "cleanup", "retention")
    listing = Listing(*columns, right=("partitions",))
    for row in rows:
        note = "{message} by {key}: {description}".format_map(row)
        listing.add(*(str(row[column]) for column in columns), note=note)
    listing.show(Terminal(), empty="no topics")


def _retention(span: timedelta) -> str:
    return "for ever" if span < timedelta(0) else f"{span.days} days"


@app.command("diff")
def diff_(json_: Json = False, wait: Wait = timedelta()) -> None:
    """Show what `apply` would do; changes nothing."""
    from shared.infrastructure.topics import diff  # noqa: PLC0415  lazy: see main

    settings = _settings()
    _show(asyncio.run(diff(settings, wait=wait)), settings.kafka, json_=json_)


@app.command("apply")
def apply_(json_: Json = False, wait: Wait = timedelta()) -> None:
    """Create and change topics until they are as they should be; never takes anything away."""
    from shared.infrastructure.topics import apply  # noqa: PLC0415  lazy: see main

    settings = _settings()
    _show(asyncio.run(apply(settings, wait=wait)), settings.kafka, json_=json_)


@app.command()
def show(
    topic: Annotated[str, typer.Argument(help="The topic, such as index.records.g1.")],
    key: Annotated[str | None, typer.Option(help="Only messages of this key: a product id, say.")] = None,
    last: Annotated[int, typer.Option(help="At most so many, the latest.", min=1, max=10_000)] = 10,
) -> None:
    """Print the latest messages as JSON, one a line, also those that are written in binary."""
    from shared.kafka.latest import latest  # noqa: PLC0415  lazy: see main

    wanted = None if key is None else key.encode()
    for record in asyncio.run(latest(_settings(), topic, count=last, key=wanted)):
        print(json.dumps(message_of(record), ensure_ascii=False))


def message_of(record: "Record") -> dict[str, object]:
    """Return a record for people: its value as JSON where there is a way, else as text."""
    from schemas.binary import is_binary  # noqa: PLC0415  lazy: see main
    from schemas.index import read_record  # noqa: PLC0415  lazy: see main

    value = record.value
    if value is not None and is_binary(value):
        value = read_record(value).as_json()
    return {
        "partition": record.partition.number,
        "offset": record.offset,
        "appended": record.timestamp.isoformat(),
        "key": _text(record.key),
        "headers": {name: _text(content) for name, content in record.headers},
        "value": _json(value),
    }


def _json(value: bytes | None) -> object:
    try:
        return None if value is None else json.loads(value)
    except ValueError:
        return _text(value)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")


def _show(changes: "Sequence[TopicDifference]", broker: str, *, json_: bool) -> None:
    if json_:
        print(json.dumps({"broker": broker, "topics": [_row(change) for change in changes]}))
        return
    from services.cli.listing import Listing  # noqa: PLC0415  lazy: see main
    from services.lab.terminal import Terminal  # noqa: PLC0415  lazy: see main

    listing = Listing("topic", "action", "partitions", right=("partitions",))
    for change in changes:
        cells = (change.wanted.name, change.action.value, _partitions(change))
        note = "\n".join(filter(None, (_config(change), change.why)))
        listing.add(*cells, note=note, style=STYLES.get(change.action.value, "yellow"))
    console = Terminal()
    listing.show(console, empty="no topics")
    changed = sum(change.action != "unchanged" for change in changes)
    console.print(f"{broker}: {len(changes)} topics, {changed} to change")


def _row(change: "TopicDifference") -> dict[str, object]:
    return {
        "topic": change.wanted.name,
        "action": change.action.value,
        "partitions": {"before": change.before, "after": change.wanted.partitions},
        "config": {name: {"before": old, "after": new} for name, (old, new) in change.config.items()},
        "why": change.why,
    }


def _partitions(change: "TopicDifference") -> str:
    if change.before in {None, change.wanted.partitions}:
        return str(change.wanted.partitions)
    return f"{change.before} -> {change.wanted.partitions}"


def _config(change: "TopicDifference") -> str:
    return "\n".join(
        f"{name}={new}" if old is None else f"{name}: {old} -> {new}"
        for name, (old, new) in change.config.items()
    )
