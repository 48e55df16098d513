"""`headrace schemas export | validate`."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from schemas.topics import TopicSpec
    from schemas.validation import MessageSample, Readable, ValidationReport

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Export the message schemas, or check a file against them.",
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def export(
    out: Annotated[
        Path, typer.Option("--out", help="Folder to write to.", file_okay=False, metavar="DIR")
    ] = Path("schemas/export"),
    json_: Json = False,
) -> None:
    """Write a JSON Schema file per message and per HTTP API, and one AsyncAPI 3.0 document."""
    from schemas.asyncapi import exports  # noqa: PLC0415  lazy: see main

    out.mkdir(parents=True, exist_ok=True)
    files = exports()
    for name, text in files.items():
        (out / name).write_text(text, encoding="utf-8")
    if json_:
        print(json.dumps({"folder": str(out), "files": sorted(files)}))
    else:
        print(f"{len(files)} files in {out}")


@app.command()
def validate(
    file: Annotated[str, typer.Argument(help="One JSON message, or one a line; - reads standard input.")],
    topic: Annotated[
        str, typer.Option("--topic", help="The topic that the messages are for.", metavar="TOPIC")
    ],
    key: Annotated[
        str | None, typer.Option("--key", help="The messages' key, for forms that name the product there.")
    ] = None,
    kcat: Annotated[
        bool, typer.Option("--kcat", help="Lines are output of `kcat -C -J`: key, payload, headers.")
    ] = False,
    json_: Json = False,
) -> None:
    """Read messages as the workers would, and say in words what is wrong with each; exit 1 when any is."""
    from schemas.validation import split, split_kcat  # noqa: PLC0415  lazy: see main
    from schemas.validation import validate as judge  # noqa: PLC0415  lazy: see main

    spec, text = _topic(topic), _read(file)
    samples = [*(split_kcat(text) if kcat else split(text, key=key.encode() if key else None))]
    report = judge(samples, spec, readable=_readable(samples))
    if json_:
        print(json.dumps(_as_json(report, spec.name)))
    else:
        _print(report, "standard input" if file == "-" else file)
    if report.faults or not report.messages:
        raise typer.Exit(1)


def _readable(samples: "Sequence[MessageSample]") -> "Readable":
    """Return what makes JSON of these messages, by the schemas that they name."""
    from schemas.validation import MessageSample  # noqa: PLC0415  lazy: see main
    from shared.clock import SystemClock  # noqa: PLC0415  lazy: see main
    from shared.records import Partition, Record  # noqa: PLC0415  lazy: see main
    from shared.schema_registry.deserializer import schemas_now  # noqa: PLC0415  lazy: see main
    from shared.settings import Settings  # noqa: PLC0415  lazy: see main

    def record(sample: MessageSample) -> Record:
        now = SystemClock().now()
        return Record(Partition("file", 0), sample.line, sample.key, sample.value, now, sample.headers)

    schemas = asyncio.run(schemas_now(Settings.load().registry, [record(sample) for sample in samples]))

    def readable(sample: MessageSample) -> MessageSample:
        read = schemas.as_json(record(sample))
        headers = tuple((name, value) for name, value in read.headers if value is not None)
        return MessageSample(sample.line, read.key, read.value, headers)

    return readable


def _topic(name: str) -> "TopicSpec":
    from schemas.validation import topic_named  # noqa: PLC0415  lazy: see main
    from shared.errors import ConfigurationError  # noqa: PLC0415  lazy: see main

    try:
        return topic_named(name)
    except KeyError as error:
        raise ConfigurationError(f"no topic {name!r}; there are {error.args[0]}") from error


def _read(file: str) -> bytes:
    from shared.errors import ConfigurationError  # noqa: PLC0415  lazy: see main

    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error


def _as_json(report: "ValidationReport", topic: str) -> dict[str, object]:
    return {
        "topic": topic,
        "messages": report.messages,
        "refused": [fault._asdict() for fault in report.faults],
        "forms": dict(report.forms),
        "texts_cut": report.cut,
        "left_out": [fault._asdict() for fault in report.left_out],
    }


def _print(report: "ValidationReport", name: str) -> None:
    for fault in report.faults:
        print(f"{name}:{fault.line}: {fault.reason}: {fault.explanation}")
    fine = report.messages - len(report.faults)
    forms = ", ".join(f"{count} {form}" for form, count in sorted(report.forms.items()))
    verdict = f"{fine} fine ({forms})" if forms else "none fine"
    print(f"{report.messages} message(s): {verdict}, {len(report.faults)} refused")
    if report.cut:
        print(f"{report.cut} texts are longer than 32 KiB and would be cut")
    for left in report.left_out:
        print(f"line {left.line}: left out: {left.reason}: {left.explanation}")
