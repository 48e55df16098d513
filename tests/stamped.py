"""Changes as they are after they were read, with what orders them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from pydantic import TypeAdapter

from schemas.base import FieldValue
from schemas.catalogue import Appended, Document, ProductChange, Revision, Stamp, StampedChange
from shared.catalogue.documents import EMPTY, merge

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NEVER = Appended(0, 0, 0)
_CHANGES = TypeAdapter(StampedChange)


def change(
    op: str,
    version: int | tuple[int, ...],
    product_id: str = "p",
    *,
    line: str = "version",
    appended: Appended | None = None,
    partial: bool = False,
    replaces: tuple[str, ...] = (),
    kept: tuple[str, ...] = (),
    **fields: object,
) -> StampedChange:
    """Return a change; without `appended` it came in the order of its version."""
    numbers = version if isinstance(version, tuple) else (version,)
    said = repr((op, sorted(fields.items()), sorted(replaces), sorted(kept)))
    stamp = Stamp(
        line,
        numbers,
        Appended(numbers[0], 0, numbers[0]) if appended is None else appended,
        blake2b(said.encode(), digest_size=8).hexdigest(),
        partial,
    )
    return _CHANGES.validate_python(
        {
            "product_id": product_id,
            "op": op,
            "version": numbers[0] if line == "version" else None,
            "event_time": NOON + timedelta(minutes=numbers[0] % 1000),
            "fields": fields,
            "stamp": stamp,
            "replaces": replaces,
            "kept": kept,
        }
    )


def said(change: ProductChange | StampedChange) -> tuple[object, ...]:
    """Return what a change says, whatever orders it."""
    return (
        change.product_id,
        change.op,
        change.event_time,
        dict(change.fields),
        change.replaces,
        change.kept,
    )


def merged(*changes: StampedChange) -> Document:
    """Return the document that the changes amount to."""
    document = EMPTY
    for one in changes:
        document = merge(document, one).document
    return document


def written(fields: Mapping[str, FieldValue], *, version: int = 1, deleted: bool = False) -> Document:
    """Return a document that was written whole, or deleted, once."""
    revision = Revision(line="version", version=(version,), op="delete" if deleted else "upsert")
    return Document(fields={} if deleted else fields, revisions=(revision,), base=0)
