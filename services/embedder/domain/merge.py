"""Last writer wins, field by field, with versioned whole writes and deletes.

A change is itself a small document, and merging is the join of a semilattice (Shapiro et al. 2011,
state-based CRDTs): commutative, associative, idempotent. So replays and disorder on the wire change
nothing, and a batch may be merged in any order.
"""

from datetime import datetime

import orjson

from schemas.base import FieldValue
from schemas.catalogue import Document, ProductChange

EMPTY = Document()


def merge(document: Document, change: ProductChange) -> Document:
    """Return `document` with `change` merged in; `document` itself when that changes nothing."""
    merged = join(document, as_document(change))
    return document if _same(merged, document) else merged


def as_document(change: ProductChange) -> Document:
    """Return the document of a product to which only this change ever happened."""
    if change.op == "delete":
        return _document(deleted=change.version, event_time=change.event_time)
    if change.op == "patch" and not change.fields:
        return EMPTY  # says nothing
    return _document(
        fields=dict(change.fields),
        versions=dict.fromkeys(change.fields, change.version),
        upserted=change.version if change.op == "upsert" else -1,
        event_time=change.event_time,
    )


def join(left: Document, right: Document) -> Document:
    """Merge two documents of one product.

    Of each field the highest version stays (of equal versions the larger canonical JSON). A whole write
    hides fields with lower versions, a delete hides fields with the same or a lower version.
    """
    upserted = max(left.upserted, right.upserted)
    deleted = max(left.deleted, right.deleted)
    lowest = max(upserted, deleted + 1)
    fields: dict[str, FieldValue] = {}
    versions: dict[str, int] = {}
    for side in (left, right):
        for name, version in side.versions.items():
            value = side.fields[name]
            rival = versions.get(name, -1)
            if version < lowest or version < rival:
                continue
            if version > rival or _canonical(value) > _canonical(fields[name]):
                fields[name], versions[name] = value, version
    return _document(
        fields=fields,
        versions=versions,
        upserted=upserted,
        deleted=deleted,
        event_time=_event_time(left, right),
    )


def latest(document: Document) -> int:
    """Return the highest version that wrote anything in the document (-1: nothing did)."""
    return max(document.upserted, document.deleted, *document.versions.values(), -1)


def _same(one: Document, other: Document) -> bool:
    """Whether two documents are the same; by JSON, because to Python 1, 1.0 and True are equal."""
    return (
        one.upserted == other.upserted
        and one.deleted == other.deleted
        and one.event_time == other.event_time
        and one.versions == other.versions
        and orjson.dumps(one.fields, option=orjson.OPT_SORT_KEYS)
        == orjson.dumps(other.fields, option=orjson.OPT_SORT_KEYS)
    )


def _canonical(value: FieldValue) -> bytes:
    return orjson.dumps(value)


def _event_time(left: Document, right: Document) -> datetime | None:
    """Return when the latest version was made; of two claims the earlier, so that a copy changes nothing."""
    if left.event_time is None or right.event_time is None:
        return left.event_time or right.event_time
    ahead = latest(left) - latest(right)
    if ahead:
        return left.event_time if ahead > 0 else right.event_time
    return min(left.event_time, right.event_time)


def _document(
    *,
    fields: dict[str, FieldValue] | None = None,
    versions: dict[str, int] | None = None,
    upserted: int = -1,
    deleted: int = -1,
    event_time: datetime | None = None,
) -> Document:
    """Build a document from parts that were checked when they were decoded."""
    return Document.model_construct(
        fields=fields or {},
        versions=versions or {},
        upserted=upserted,
        deleted=deleted,
        event_time=event_time,
    )
