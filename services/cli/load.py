"""`headrace load`: a shop's own files onto the bus."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, BinaryIO

import orjson
import typer
from rich.console import Console

from schemas.search import SearchEvent, SearchQuery
from services.cli import load_report
from services.cli.load_view import FaultList, LoadView, show_faults, show_file
from services.cli.options import duration
from services.embedder.settings import Settings as EmbedderSettings
from services.lab.terminal import Terminal
from services.loader.check import CheckReport, check
from services.loader.delivery import LoadTally
from services.loader.domain.rows import visible
from services.loader.formats.content import STDIN
from services.loader.load import load_products
from services.loader.logs import LogKind, LogLoad, check_log, load_log
from services.loader.request import FileFormat, LoadRequest, ReadOptions
from shared.catalogue.texts import named_fields
from shared.clock import SystemClock
from shared.errors import ConfigurationError
from shared.infrastructure.running import discover
from shared.settings import Settings

app = typer.Typer(add_completion=False)
INCOMPLETE = 3
"""The exit code of a load that left something out."""
LOGS: Mapping[LogKind, str] = {SearchQuery: "queries", SearchEvent: "events"}

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE]...",
        help="JSON Lines, CSV, TSV, Parquet, Merchant feed, Shopify export; gzip, zstd; -: standard input.",
    ),
]
Queries = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE", help="A log of what was asked and shown: lines of UBI, or a table of them."),
]
Events = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE", help="A log of events: lines of UBI, or rows: query, product, action, time."
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
    timedelta, duration("--wait", help_="So long a broker may acknowledge nothing; then the load ends.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def load(
    files: Files = None,
    queries: Queries = None,
    events: Events = None,
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
    wait: Wait = timedelta(minutes=1),
    json: Json = False,
) -> None:
    """Load a catalogue, and logs of the past. Killed, the same command goes on.

    Exits with 3 when something was left out.
    """
    options = ReadOptions(
        format=format_,
        encoding=encoding,
        delimiter=delimiter,
        id_column=id_,
        fields=_fields(map_ or []),
        decimal=decimal,
        currency=currency,
    )
    with ExitStack() as stack:
        faults = FaultList(None if errors is None else stack.enter_context(_written(errors)))
        command = _LoadCommand(options, faults, dry_run=dry_run, restart=restart, wait=wait, json=json)
        if files:
            command.catalogue(files, _source(files, source, replace), replace=bool(replace), yes=yes)
        for kind, names in ((SearchQuery, queries), (SearchEvent, events)):
            if names:
                command.log(kind, names, _source(names, source))
    command.end()


def catalogue_request(files: list[str]) -> LoadRequest:
    """Return the request for a catalogue of which nothing is said; one that was loaded is not again."""
    texts = named_fields(EmbedderSettings.load().embedder.text)
    return LoadRequest(files=tuple(files), source=_source(files), texts=texts, once=True)


@dataclass(kw_only=True)
class _LoadCommand:
    """One run of the command: what was asked of it, and what has come of it so far."""

    options: ReadOptions = field(kw_only=False)
    faults: FaultList = field(kw_only=False)
    dry_run: bool
    restart: bool
    wait: timedelta
    json: bool
    total: LoadTally = field(default_factory=LoadTally)
    failed: bool = False
    printed: load_report.JsonObject = field(default_factory=dict)

    def catalogue(self, files: list[str], source: str, *, replace: bool, yes: bool) -> None:
        """Load a catalogue, or look at it."""
        request = self._request(files, source, replace=replace, yes=yes)
        view = self._view(request)
        if self.dry_run:
            self._check(request, view)
            return
        with view.progress:
            report = asyncio.run(load_products(discover(Settings.load()), request, view))
        self.total.add(report.tally)
        gone = report.replacement
        self.failed |= bool(report.damage) or (gone is not None and gone.refused)
        self.printed |= load_report.load_json(report, view.seconds)
        if not self.json:
            load_report.show_load(_console(), report, view.seconds)

    def _check(self, request: LoadRequest, view: LoadView) -> None:
        reports, total = list[CheckReport](), LoadTally()
        with view.progress:
            for name in request.files:
                view.name = visible(Path(name).name, 200)
                reports.append(check(request, name, view))
                total.add(reports[-1].tally)
        self.total.add(total)
        self.failed |= any(report.survey.content.damage for report in reports)
        self.printed |= load_report.check_json(reports, total)
        if self.json:
            return
        console = _console()
        for report in reports:
            show_file(console, report.survey, report.profile, reading=report.reading, texts=request.texts)
            example = (report.example or b"none").decode()
            console.print(f"the first change: {visible(example, 300)}", markup=False)
        console.print(f"{total.loaded:,} products would be loaded; nothing was written (--dry-run)")

    def log(self, kind: LogKind, files: list[str], source: str) -> None:
        """Load a log, or look at it."""
        from services.judgements.settings import Settings as JudgementSettings  # noqa: PLC0415 - imports scipy

        request = self._request(files, source)
        view = self._view(request)
        window = timedelta(days=JudgementSettings.load().judgements.window_days)
        job = LogLoad(request, kind, SystemClock().now() - window)
        with view.progress:
            if self.dry_run:
                report = check_log(job, view)
            else:
                report = asyncio.run(load_log(discover(Settings.load()), job, view))
        self.total.add(report.tally)
        self.failed |= bool(report.damage)
        self.printed[LOGS[kind]] = load_report.log_json(report)
        if not self.json:
            seconds = None if self.dry_run else view.seconds
            load_report.show_log(_console(), LOGS[kind], report, seconds=seconds)

    def end(self) -> None:
        """Say what was left out, and exit with it."""
        if not self.total.units:
            raise ConfigurationError("name a FILE to load, or --queries FILE, or --events FILE")
        if self.json:
            print(orjson.dumps({**self.printed, **load_report.faults_json(self.faults)}).decode())
        else:
            show_faults(_console(), self.faults, self.total)
        if self.failed:
            raise typer.Exit(1)
        if self.total.lost or self.total.flawed:
            raise typer.Exit(INCOMPLETE)

    def _request(
        self, files: list[str], source: str, *, replace: bool = False, yes: bool = False
    ) -> LoadRequest:
        return LoadRequest(
            files=tuple(files),
            source=source,
            options=self.options,
            texts=named_fields(EmbedderSettings.load().embedder.text),
            replace=replace,
            yes=yes,
            restart=self.restart,
            wait=self.wait,
        )

    def _view(self, request: LoadRequest) -> LoadView:
        console = Terminal(stderr=True, highlight=False, soft_wrap=True)
        return LoadView(console, self.faults, quiet=self.json, texts=request.texts)


def _written(file: Path) -> BinaryIO:
    try:
        return file.open("wb")
    except OSError as error:
        name = visible(str(file), 200)
        raise ConfigurationError(f"--errors {name} cannot be written: {error.strerror}") from error


def _console() -> Console:
    return Terminal(highlight=False, soft_wrap=True)


def _fields(pairs: list[str]) -> dict[str, str]:
    fields = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise ConfigurationError(f"--map {visible(wrong[0])}: write FIELD=COLUMN, such as title=Name")
    return fields


def _source(files: list[str], source: str = "", replace: str = "") -> str:
    if source and replace and source != replace:
        raise ConfigurationError("--source and --replace name two sources: give one")
    if len(files) > 1 and STDIN in files:
        raise ConfigurationError("- is read alone")
    name = replace or source or ("stdin" if files[0] == STDIN else Path(files[0]).name.partition(".")[0])
    if not (0 < len(name) <= 128 and name.isprintable()):
        raise ConfigurationError(
            f"{visible(name)} is no name of a source, 1 to 128 printable characters: --source"
        )
    return name
