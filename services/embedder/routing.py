"""What a catalogue change is about, for its router, and what could not be taken of it, for its producer."""

from collections.abc import Collection, Mapping

from schemas.alerts import Alert, alert_key
from services.embedder import metrics
from shared.catalogue.changes import reading_of, usual_product
from shared.catalogue.findings import findings_of
from shared.errors import SkippedError
from shared.ports import outgoing
from shared.records import Outgoing, Record
from shared.streaming.router import RoutedRecord

TRUNCATE = "truncate"
TRUNCATED = "truncated"
SHOWN_NAME = 200
"""So many characters of a table's name are said: nobody bounds what a message has there."""


def describe(record: Record, *, numbers: Collection[str] = ()) -> RoutedRecord:
    """Return the id of the product, and its findings; raises `PoisonError`, `SkippedError`.

    A truncate is about no product, and is remarked as an alert. `numbers` are attributes that should have
    numbers: one that has a text is a finding.
    """
    if (product_id := usual_product(record, numbers)) is not None:
        return RoutedRecord(product_id.encode())
    try:
        reading = reading_of(record)
    except SkippedError as skipped:
        if skipped.kind != TRUNCATE:
            raise
        return RoutedRecord(None, (outgoing(_truncated(record, skipped.source or {})),))
    for left in reading.left_out:
        metrics.attributes_left_out.labels(left.reason).inc()
    findings = findings_of(record, reading, numbers)
    remarks = () if findings is None else (Outgoing(findings.topic, findings.key(), findings.encode()),)
    return RoutedRecord(reading.change.product_id.encode(), remarks)


def _truncated(record: Record, source: Mapping[str, object]) -> Alert:
    """Return the alert of a table that was emptied: its products stay until they are deleted."""
    table = ".".join(str(source[name]) for name in ("db", "schema", "table") if source.get(name)) or "a table"
    key, place = alert_key(TRUNCATED, table), f"{record.partition}@{record.offset}"
    table = table if len(table) <= SHOWN_NAME else f"{table[:SHOWN_NAME]}…"
    return Alert(
        alert_key=key,
        status="firing",
        severity="warning",
        summary=f"{table} was emptied at its source ({record.partition} @ {record.offset}): that names no "
        "product, so what it wrote stays in the index",
        action=f"`headrace catalogue accept --truncate {place}` deletes what it had written and has not "
        f"written again since; then `headrace alerts resolve {key}`",
        evidence={"table": table, "partition": str(record.partition), "offset": record.offset},
        resolution="manual",
        started_at=record.timestamp,
        updated_at=record.timestamp,
    )
