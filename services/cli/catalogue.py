"""`headrace catalogue findings | accept | acceptances`."""

import asyncio
import json
from typing import Annotated

import typer

from services.cli.listing import Listing
from services.embedder.findings_log import FindingsSummary, read_findings
from services.embedder.requests import (
    AcceptanceReport,
    Place,
    TruncationReport,
    delete_truncated,
)
from services.embedder.requests import accept as accept_source
from services.lab.terminal import Terminal
from shared.errors import ConfigurationError
from shared.infrastructure.running import discover
from shared.settings import Settings
from shared.streaming.acceptance_log import read_acceptances

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="See what was found in products; say what counts when a source was restored, or a table emptied.",
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def findings(
    product: Annotated[str, typer.Option(help="Only those of this product.")] = "",
    reason: Annotated[str, typer.Option(help="Only those for this reason, such as text.empty.")] = "",
    last: Annotated[int, typer.Option(help="Show so many of the latest.", min=0)] = 20,
    json_: Json = False,
) -> None:
    """Count what was cut, left out, empty or a duplicate, and show the latest; reads the topic itself."""
    summary = FindingsSummary(last, product_id=product, reason=reason)
    asyncio.run(read_findings(discover(Settings.load()), summary))
    if json_:
        print(json.dumps(_findings_json(summary)))
        return
    console = Terminal(highlight=False, soft_wrap=True)
    if not summary.counts:
        console.print("nothing was found")
        return
    console.print(", ".join(f"{name} {number:,}" for name, number in summary.counts.most_common()))
    listing = Listing("made", "product", "reason", "where")
    for message, finding in summary.latest:
        other = f" ({finding.other}, {finding.similarity or 1:.0%})" if finding.other else ""
        cells = (f"{message.time:%Y-%m-%d %H:%M:%S}", message.product_id, finding.reason, finding.attribute)
        listing.add(*cells, note=finding.explanation + other)
    listing.show(Terminal(highlight=False), empty="")


@app.command()
def accept(
    source: Annotated[
        str, typer.Option(help="As the alert names it, or what its lines begin with up to a `/`.")
    ] = "",
    since: Annotated[
        str, typer.Option("--from", help="From when on: ISO 8601, or PARTITION@OFFSET of a change.")
    ] = "",
    truncate: Annotated[
        str, typer.Option(help="PARTITION@OFFSET of a truncate: delete what was in its table.")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
    json_: Json = False,
) -> None:
    """Let what a source writes count whose versions went back, or delete what a truncate emptied."""
    if bool(truncate) == bool(source or since) or bool(source) != bool(since):
        raise ConfigurationError("say --source SOURCE --from TIME, or --truncate PARTITION@OFFSET")
    settings = discover(Settings.load())
    if truncate:
        place = Place.of(truncate)
        if place is None:
            raise ConfigurationError(f"{truncate!r} is no place like catalogue.changes.v1-0@17")
        emptied = asyncio.run(delete_truncated(settings, place, dry_run=dry_run))
        print(_emptied_json(emptied) if json_ else _emptied(emptied, dry_run=dry_run))
        return
    report = asyncio.run(accept_source(settings, source, since, reason=reason, dry_run=dry_run))
    print(_accepted_json(report) if json_ else _accepted(report, dry_run=dry_run))


@app.command()
def acceptances(json_: Json = False) -> None:
    """List the sources that were accepted, and from when on."""
    messages = asyncio.run(read_acceptances(discover(Settings.load()))).messages
    if json_:
        print(json.dumps({"acceptances": [message.model_dump(mode="json") for message in messages]}))
        return
    listing = Listing("source", "from", "accepted")
    for message in messages:
        moments = (
            message.since.isoformat(timespec="milliseconds"),
            f"{message.requested_at:%Y-%m-%d %H:%M:%S}",
        )
        listing.add(message.source, *moments, note=message.reason)
    listing.show(Terminal(), empty="nothing was accepted")


def _findings_json(summary: FindingsSummary) -> dict[str, object]:
    latest = [
        {
            **finding.model_dump(mode="json", exclude_defaults=True),
            **message.model_dump(mode="json", exclude={"findings", "total"}, exclude_defaults=True),
        }
        for message, finding in summary.latest
    ]
    return {"counts": dict(summary.counts.most_common()), "findings": latest}


def _accepted(report: AcceptanceReport, *, dry_run: bool) -> str:
    survey = report.survey
    verb = "was accepted before" if report.known else "would be accepted" if dry_run else "is accepted"
    lines = [
        f"{report.message.source} {verb} from {report.message.since.isoformat()} on: "
        f"{survey.changes:,} messages of {len(survey.products):,} products have come since"
        + ("" if dry_run or report.known else ", and are read again")
    ]
    if survey.older:
        lines.append(
            f"{survey.older:,} of them have lower versions than what their product had in them before: "
            "if the source went back later than that, accept it from there on"
        )
    return "\n".join(lines)


def _accepted_json(report: AcceptanceReport) -> str:
    survey = report.survey
    return json.dumps(
        {
            **report.message.model_dump(mode="json"),
            "known": report.known,
            "messages": survey.changes,
            "products": len(survey.products),
            "older": survey.older,
            "lines": dict(sorted(survey.lines.items())),
        }
    )


def _emptied(report: TruncationReport, *, dry_run: bool) -> str:
    number = len(report.deletes)
    if not number:
        return f"{report.place}: nothing of its table is left to be deleted"
    products = "1 product" if number == 1 else f"{number:,} products"
    return f"{report.place}: {products} to be deleted" + ("" if dry_run else "; the deletes are published")


def _emptied_json(report: TruncationReport) -> str:
    return json.dumps({"truncate": str(report.place), "products": len(report.deletes)})
