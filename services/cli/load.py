"""`headrace load`: a shop's own files onto the bus."""

import asyncio
from contextlib import ExitStack
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from services.cli.load_view import FaultList, LoadView, rows_of, show_faults, show_file
from services.embedder.settings import Settings as EmbedderSettings
from services.loader.check import CheckReport, check
from services.loader.delivery import LoadTally
from services.loader.domain.rows import visible
from services.loader.formats.content import STDIN
from services.loader.load import LoadReport, load_products
from services.loader.request import FileFormat, LoadRequest, ReadOptions
from shared.catalogue.texts import named_fields
from shared.errors import ConfigurationError
from shared.infrastructure.running import discover
from shared.settings import Settings

app = typer.Typer()
INCOMPLETE = 3
"""The exit code of a load that left something out."""


Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="JSON Lines, CSV, TSV, Parquet, Merchant feed, Shopify export; gzip, zstd; -: standard input.",
    ),
]
IdColumn = Annotated[str, typer.Option("--id", metavar="COLUMN", help="The column of the product's id.")]
Fields = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="FIELD=COLUMN", help="The column of a field, where the guess is wrong."),
]
Source = Annotated[
    str, typer.Option(metavar="NAME", help="What these products come from; absent: the file's name.")
]
Replace = Annotated[
    str,
    typer.Option(
        metavar="SOURCE",
        help="The files are all of SOURCE: what it had before and they have not is deleted.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Delete more than a tenth of SOURCE, too.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read everything, write nothing.")]
Errors = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write what is wrong with which line, a JSON object each.", dir_okay=False
    ),
]
Format = Annotated[FileFormat, typer.Option("--format", help="How the files are written.")]
Encoding = Annotated[str, typer.Option(help="Of the texts; absent: what they look like.")]
Delimiter = Annotated[str, typer.Option(help="Between values; absent: what it looks like.")]
Decimal = Annotated[str, typer.Option(metavar=". or ,", help="The decimal separator of prices like 1.299.")]
Currency = Annotated[str, typer.Option(metavar="CODE", help="Of prices that do not say theirs.")]
Restart = Annotated[bool, typer.Option("--restart", help="Do not go on with a load that was stopped.")]
Wait = Annotated[
    float, typer.Option(help="Seconds that a broker may acknowledge nothing; then the load ends.", min=1)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def load(
    files: Files,
    id_: IdColumn = "",
    map_: Fields = None,
    source: Source = "",
    replace: Replace = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    errors: Errors = None,
    format_: Format = FileFormat.AUTO,
    encoding: Encoding = "",
    delimiter: Delimiter = "",
    decimal: Decimal = "",
    currency: Currency = "",
    restart: Restart = False,
    wait: Wait = 60,
    json: Json = False,
) -> None:
    """Load a catalogue. Killed, the same command goes on. Exits with 3 when something was left out."""
    options = ReadOptions(
        format=format_,
        encoding=encoding,
        delimiter=delimiter,
        id_column=id_,
        fields=_fields(map_ or []),
        decimal=decimal,
        currency=currency,
    )
    request = LoadRequest(
        files=tuple(files),
        source=_source(files, source, replace),
        options=options,
        texts=named_fields(EmbedderSettings.load().embedder.text),
        replace=bool(replace),
        yes=yes,
        restart=restart,
        wait=timedelta(seconds=wait),
    )
    _run(request, errors, dry_run=dry_run, json=json)


def _run(request: LoadRequest, errors: Path | None, *, dry_run: bool, json: bool) -> None:
    with ExitStack() as stack:
        faults = FaultList(None if errors is None else stack.enter_context(errors.open("wb")))
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        view = LoadView(console, faults, quiet=json, texts=request.texts)
        run = _check if dry_run else _load
        tally = run(request, view, faults, json=json)
    if tally.lost or tally.flawed:
        raise typer.Exit(INCOMPLETE)


def _fields(pairs: list[str]) -> dict[str, str]:
    fields = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise ConfigurationError(f"--map {visible(wrong[0])}: write FIELD=COLUMN, such as title=Name")
    return fields


def _source(files: list[str], source: str, replace: str) -> str:
    if source and replace and source != replace:
        raise ConfigurationError("--source and --replace name two sources: give one")
    if len(files) > 1 and STDIN in files:
        raise ConfigurationError("- is read alone")
    name = replace or source or ("stdin" if files[0] == STDIN else Path(files[0]).name.partition(".")[0])
    if not (0 < len(name) <= 128 and name.isprintable()):
        raise ConfigurationError(
            f"the source {visible(name)} is not 1 to 128 printable characters: --source NAME"
        )
    return name


def _check(request: LoadRequest, view: LoadView, faults: FaultList, *, json: bool) -> LoadTally:
    """Read all files, and show what would be loaded."""
    console, total, reports = Console(highlight=False, soft_wrap=True), LoadTally(), list[CheckReport]()
    with view.progress:
        for name in request.files:
            view.name = visible(Path(name).name, 200)
            reports.append(check(request, name, view))
    for report in reports:
        total.add(report.tally)
        if not json:
            show_file(console, report.survey, report.profile, reading=report.reading, texts=request.texts)
            console.print(
                f"the first change: {visible((report.example or b'none').decode(), 300)}", markup=False
            )
    if json:
        print(
            orjson.dumps(
                {**_tally(total, faults), "files": [_file_json(report) for report in reports]}
            ).decode()
        )
    else:
        show_faults(console, faults, total)
        console.print(f"{total.loaded:,} products would be loaded; nothing was written (--dry-run)")
    return total


def _load(request: LoadRequest, view: LoadView, faults: FaultList, *, json: bool) -> LoadTally:
    settings = discover(Settings.load())
    with view.progress:
        report = asyncio.run(load_products(settings, request, view))
    if json:
        print(orjson.dumps(_load_json(report, faults, view.seconds)).decode())
    else:
        _show(Console(highlight=False, soft_wrap=True), report, faults, view.seconds)
    replacement = report.replacement
    if report.damage or (replacement is not None and replacement.refused):
        raise typer.Exit(1)
    return report.tally


def _show(console: Console, report: LoadReport, faults: FaultList, seconds: float) -> None:
    show_faults(console, faults, report.tally)
    if report.repeated:
        console.print(f"{report.repeated:,} rows are of a product that has another row: the last one counts")
    rate = report.tally.published / seconds if seconds else 0
    console.print(
        f"{report.tally.loaded:,} products of source {visible(report.source)} are written, as of "
        f"{report.began_at:%Y-%m-%d %H:%M:%S} UTC ({seconds:.1f} s, {rate:,.0f}/s)",
        markup=False,
    )
    gone = report.replacement
    if gone is None:
        return
    if gone.unreadable:
        console.print(
            f"of {gone.unreadable} earlier loads the topic has no longer everything: what only they had stays"
        )
    share = f"{gone.missing:,} of the {gone.before:,} products that it had are not in it any more"
    if not gone.refused:
        console.print(f"{share}: deleted")
    elif gone.nameless:
        what = f"{gone.nameless:,} lines do not say whose they are"
        console.print(f"{share}; {what}, so nothing is deleted: mend them, or --yes")
    else:
        console.print(
            f"{share} ({gone.missing / gone.before:.0%}): nothing is deleted; if it is right, add --yes"
        )


def _tally(tally: LoadTally, faults: FaultList) -> dict[str, Any]:  # Any: JSON
    return {**asdict(tally), "reasons": faults.counts, "first": faults.first}


def _file_json(report: CheckReport) -> dict[str, Any]:  # Any: JSON
    columns = [
        {
            "field": field,
            "column": column,
            "kind": report.reading.columns[column].kind if column in report.reading.columns else "text",
            "filled": report.profile.columns[column].filled,
            "examples": report.profile.columns[column].samples,
        }
        for field, column in rows_of(report.profile, report.reading)
    ]
    return {
        "file": report.survey.content.name,
        "format": report.survey.file.description,
        "rows": report.profile.rows,
        "columns": columns,
    }


def _load_json(report: LoadReport, faults: FaultList, seconds: float) -> dict[str, Any]:  # Any: JSON
    return {
        "source": report.source,
        "load_id": report.load_id,
        "began_at": report.began_at.isoformat(),
        "seconds": round(seconds, 3),
        **_tally(report.tally, faults),
        "repeated": report.repeated,
        "damage": report.damage,
        "replaced": None if report.replacement is None else asdict(report.replacement),
    }
