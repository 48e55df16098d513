"""A product as the merge of its changes: last writer wins, field by field, by version.

A change is itself a small document, and merging is the join of a semilattice (Shapiro et al. 2011,
state-based CRDTs): commutative, associative, idempotent. So replays and disorder on the wire change
nothing, and a batch may be merged in any order.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import orjson

from schemas.base import MAX_MESSAGE_BYTES, FieldValue
from schemas.catalogue import Document, ProductChange
from shared.errors import PoisonError

EMPTY = Document()


class _Side(NamedTuple):
    """The parts of a document, without the cost of building one."""

    fields: Mapping[str, FieldValue]
    versions: Mapping[str, int]
    upserted: int
    deleted: int
    event_time: datetime | None


def merge(document: Document, change: ProductChange) -> Document:
    """Return `document` with `change` merged in; `document` itself when that changes nothing."""
    merged = _join(document, _claim(change))
    return document if _same(merged, document) else _document(merged)


def admit(document: Document, change: ProductChange) -> Document:
    """Merge; raises `PoisonError` when patch upon patch made it too large to be written to the bus."""
    merged = merge(document, change)
    if merged is not document and len(orjson.dumps(merged.fields)) > MAX_MESSAGE_BYTES:
        raise PoisonError(
            "document.too_large",
            f"with this change product {change.product_id!r} is larger than {MAX_MESSAGE_BYTES} bytes; "
            "write it whole with fewer or shorter attributes",
        )
    return merged


def join(left: Document, right: Document) -> Document:
    """Merge two documents of one product.

    Of each field the highest version stays (of equal versions the larger canonical JSON). A whole write
    hides fields with lower versions, a delete hides fields with the same or a lower version.
    """
    return _document(_join(left, right))


def absorb(document: Document, other: Document) -> Document:
    """Join; `document` itself when the other one has nothing new."""
    merged = _join(document, other)
    return document if _same(merged, document) else _document(merged)


def _claim(change: ProductChange) -> _Side:
    """Return the document of a product to which only this change ever happened."""
    if change.op == "delete":
        return _Side({}, {}, -1, change.version, change.event_time)
    upserted = change.version if change.op == "upsert" else -1
    if upserted < 0 and not change.fields:
        return _Side({}, {}, -1, -1, None)  # a patch of nothing says nothing
    versions = dict.fromkeys(change.fields, change.version)
    return _Side(change.fields, versions, upserted, -1, change.event_time)


def _join(left: Document | _Side, right: Document | _Side) -> _Side:
    upserted = max(left.upserted, right.upserted)
    deleted = max(left.deleted, right.deleted)
    lowest = max(upserted, deleted + 1)
    fields: dict[str, FieldValue] = {}
    versions: dict[str, int] = {}
    for side in (left, right):
        for name, version in side.versions.items():
            rival = versions.get(name, -1)
            if version < lowest or version < rival:
                continue
            value = side.fields[name]
            if version > rival or _canonical(value) > _canonical(fields[name]):
                fields[name], versions[name] = value, version
    return _Side(fields, versions, upserted, deleted, _event_time(left, right))


def _latest(document: Document | _Side) -> int:
    """Return the highest version that wrote anything in the document (-1: nothing did)."""
    return max(document.upserted, document.deleted, *document.versions.values(), -1)


def _same(one: _Side, other: Document) -> bool:
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


def _event_time(left: Document | _Side, right: Document | _Side) -> datetime | None:
    """Return when the latest version was made; of two claims the earlier, so that a copy changes nothing."""
    if left.event_time is None or right.event_time is None:
        return left.event_time or right.event_time
    ahead = _latest(left) - _latest(right)
    if ahead:
        return left.event_time if ahead > 0 else right.event_time
    return min(left.event_time, right.event_time)


def _document(side: _Side) -> Document:
    """Build a document from parts that were checked when they were decoded."""
    return Document.model_construct(**side._asdict())
