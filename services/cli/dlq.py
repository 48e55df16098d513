"""`headrace dlq list | show | replay`."""

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from schemas.wire.errors import WireError
from services.cli.listing import Listing
from services.lab.terminal import Terminal
from shared.errors import ConfigurationError, TransientError
from shared.infrastructure.running import discover
from shared.records import Record
from shared.schema_registry.deserializer import schemas_now
from shared.schema_registry.framing import uses
from shared.settings import Settings
from shared.streaming import dead_letter_topic as dead_letters
from shared.streaming.dead_letter_topic import Letter, LetterSelection
from shared.streaming.dead_letters import PREFIX, REASON

app = typer.Typer(add_completion=False, no_args_is_help=True, help="List, show and replay dead letters.")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Topic = Annotated[str, typer.Argument(help="The topic, with or without `.dlq`.")]
Reason = Annotated[str, typer.Option(help="Only those with this reason code.")]
SHOWN_BYTES = 4096


@app.command("list")
def list_(
    topic: Annotated[str, typer.Argument(help="Absent: every topic.")] = "", json_: Json = False
) -> None:
    """Count dead letters by topic and reason."""
    settings = discover(Settings.load())
    topics = [dead_letters.topic_of(topic, settings)] if topic else dead_letters.dead_letter_topics(settings)
    counts = sorted(asyncio.run(dead_letters.count(settings, topics)).items())
    if json_:
        rows = [{"topic": name, "reason": reason, "count": number} for (name, reason), number in counts]
        print(json.dumps({"dead_letters": rows}))
        return
    listing = Listing("topic", "reason", "letters", right=("letters",))
    for (name, letters_reason), number in counts:
        listing.add(name, letters_reason, f"{number:,}")
    listing.show(Terminal(), empty="no dead letters")


@app.command()
def show(
    topic: Topic,
    offset: Annotated[int | None, typer.Option(help="One letter, whole.")] = None,
    reason: Reason = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 20,
    json_: Json = False,
) -> None:
    """Show dead letters, or one of them whole: headers, reason, and its bytes as text or hexadecimal."""
    settings = discover(Settings.load())
    offsets = frozenset() if offset is None else frozenset({offset})
    letters = _read(settings, topic, LetterSelection(offsets, reason, 1 if offsets else limit))
    if offset is not None and not letters:
        raise ConfigurationError(f"{dead_letters.topic_of(topic, settings)} has no letter at offset {offset}")
    if json_:
        print(json.dumps({"dead_letters": [_as_json(letter) for letter in letters]}))
    elif offset is not None:
        _show_whole(letters[0])
        _show_as_json(settings, letters[0].record)
    else:
        _listing(letters).show(Terminal(), empty="no dead letters")


@app.command()
def replay(
    topic: Topic,
    offset: Annotated[list[int] | None, typer.Option(help="These; may be repeated.")] = None,
    reason: Reason = "",
    all_: Annotated[bool, typer.Option("--all", help="Every one.")] = False,
    limit: Annotated[int, typer.Option(help="At most so many, oldest first.", min=1, max=10_000)] = 100,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be written.")] = False,
) -> None:
    """Write letters back to their topic as they were; they stay in the dead-letter topic too."""
    if not (offset or reason or all_):
        raise ConfigurationError("say which letters: --offset N, --reason CODE, or --all")
    settings = discover(Settings.load())
    letters = _read(settings, topic, LetterSelection(frozenset(offset or ()), reason, limit))
    console = Terminal()
    _listing(letters).show(console, empty="no such letters")
    if letters and not dry_run:
        asyncio.run(dead_letters.replay(settings, letters))
    what = "would be written back" if dry_run else "written back"
    console.print(f"{len(letters)} {what}" + (f" (the limit is {limit})" if len(letters) == limit else ""))


def _read(settings: Settings, topic: str, selection: LetterSelection) -> list[Letter]:
    topics = [dead_letters.topic_of(topic, settings)]
    return asyncio.run(dead_letters.read(settings, topics, wanted=selection, limit=selection.limit))


def _listing(letters: Sequence[Letter]) -> Listing:
    listing = Listing("offset", "when", "reason", "read at", right=("offset",))
    for letter in letters:
        why = letter.error_header("exception.message").removeprefix(f"{letter.reason}: ")
        why += " (cut: not to be replayed)" if letter.cut else ""
        when = f"{letter.record.timestamp:%Y-%m-%d %H:%M:%S}"
        listing.add(str(letter.record.offset), when, letter.reason, letter.source, note=why)
    return listing


def _show_whole(letter: Letter) -> None:
    console = Terminal(highlight=False)
    console.rule(f"{letter.record.partition} @ {letter.record.offset}")
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("reason", Text(letter.reason, style="bold red"))
    for name, value in letter.record.headers:
        if name != REASON:
            table.add_row(name.removeprefix(PREFIX), Text(_text(value)))
    console.print(table)
    for part, content in (("key", letter.record.key), ("value", letter.record.value)):
        size = "none" if content is None else f"{len(content):,} bytes"
        console.rule(f"{part}, {size}", align="left")
        console.print(Text(_text((content or b"")[:SHOWN_BYTES])))


def _show_as_json(settings: Settings, record: Record) -> None:
    """Show what a letter that names a schema says in JSON, or why that cannot be known."""
    if not any(uses(record)):
        return
    console = Terminal(highlight=False)
    console.rule("by its schema", align="left")
    try:
        read = asyncio.run(schemas_now(settings.registry, [record])).as_json(record)
    except (WireError, TransientError) as error:
        console.print(Text(str(error)))
        return
    for content in (read.key, read.value):
        console.print(Text(_text((content or b"")[:SHOWN_BYTES])))


def _as_json(letter: Letter) -> dict[str, object]:
    record = letter.record
    return {
        "topic": record.partition.topic,
        "partition": record.partition.number,
        "offset": record.offset,
        "timestamp": record.timestamp.isoformat(),
        "reason": letter.reason,
        "source": letter.source,
        "cut": json.loads(letter.cut) if letter.cut else None,
        "headers": [[name, _text(value)] for name, value in record.headers],
        "key_hex": None if record.key is None else record.key.hex(),
        "value_hex": None if record.value is None else record.value.hex(),
        "value_text": None if record.value is None else _text(record.value),
    }


def _text(value: bytes | None) -> str:
    """Return bytes as text when they are printable UTF-8, else as a hexadecimal dump."""
    if value is None:
        return "null"
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return hexadecimal(value)
    return text if all(c.isprintable() or c in "\n\t\r" for c in text) else hexadecimal(value)


def hexadecimal(value: bytes, width: int = 16) -> str:
    """Return offset, bytes and printable characters, as `hexdump -C` does."""
    lines = []
    for start in range(0, len(value), width):
        row = value[start : start + width]
        printable = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):{width * 3}} {printable}")
    return "\n".join(lines)
