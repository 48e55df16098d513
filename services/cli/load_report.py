"""What `headrace load` says when it is done: in words, and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console

from services.cli.load_view import FaultList, rows_of
from services.loader.check import CheckReport
from services.loader.delivery import LoadTally
from services.loader.domain.rows import visible
from services.loader.load import LoadReport, Replacement
from services.loader.logs import LogReport

JsonObject = dict[str, Any]  # Any: JSON


def show_load(console: Console, report: LoadReport, seconds: float) -> None:
    """Say what a load of a catalogue did."""
    tally = report.tally
    if report.unchanged:
        since = f"{report.began_at:%Y-%m-%d %H:%M:%S} UTC"
        what = f"source {visible(report.source)} is loaded already, as of {since}"
        console.print(f"{what}: headrace load FILE loads it again", markup=False)
        return
    if report.repeated:
        console.print(f"{report.repeated:,} rows are of a product that has another row: the last one counts")
    if tally.passed:
        console.print(f"{tally.passed:,} products are drafts, archived or not published: passed over")
    rate = tally.published / seconds if seconds else 0
    console.print(
        f"{tally.loaded:,} products of source {visible(report.source)} are written, as of "
        f"{report.began_at:%Y-%m-%d %H:%M:%S} UTC ({seconds:.1f} s, {rate:,.0f}/s)",
        markup=False,
    )
    if report.replacement is not None:
        _show_replacement(console, report.replacement)


def _show_replacement(console: Console, gone: Replacement) -> None:
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
        part = f"{gone.missing / gone.before:.0%}"
        console.print(f"{share} ({part}): nothing is deleted; if it is right, add --yes")


def show_log(console: Console, name: str, report: LogReport, *, seconds: float | None) -> None:
    """Say what came of a log; without `seconds`: of one that was only read."""
    what = "would be written (--dry-run)" if seconds is None else f"are written ({seconds:.1f} s)"
    passed = f"; {report.tally.passed:,} lines of another kind passed over" if report.tally.passed else ""
    console.print(f"{report.tally.loaded:,} rows of {name} {what}{passed}")


def load_json(report: LoadReport, seconds: float) -> JsonObject:
    """Return what a load of a catalogue did."""
    return {
        "source": report.source,
        "load_id": report.load_id,
        "began_at": report.began_at.isoformat(),
        "seconds": round(seconds, 3),
        **asdict(report.tally),
        "repeated": report.repeated,
        "damage": report.damage,
        "replaced": None if report.replacement is None else asdict(report.replacement),
    }


def log_json(report: LogReport) -> JsonObject:
    """Return what came of a log."""
    return {**asdict(report.tally), "damage": report.damage}


def check_json(reports: list[CheckReport], total: LoadTally) -> JsonObject:
    """Return what a load of a catalogue would do."""
    return {**asdict(total), "files": [_file_json(report) for report in reports]}


def faults_json(faults: FaultList) -> Mapping[str, object]:
    """Return what is wrong with lines."""
    return {"reasons": faults.counts, "first": faults.first}


def _file_json(report: CheckReport) -> JsonObject:
    columns = [
        {
            "field": name,
            "column": column,
            "kind": report.reading.columns[column].kind if column in report.reading.columns else "text",
            "filled": report.profile.columns[column].filled,
            "examples": report.profile.columns[column].samples,
        }
        for name, column in rows_of(report.profile, report.reading)
    ]
    facts = {"file": report.survey.content.name, "format": report.survey.file.description}
    return {**facts, "rows": report.profile.rows, "columns": columns}
