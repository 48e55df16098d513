"""The binary form of the messages that carry vectors: two bytes that say which, then msgpack.

The first byte is `c1`, which neither JSON nor msgpack nor a message of a schema registry begins with, the
second says which message and layout it is. What follows is the msgpack map that the message's JSON would be:
the same names, what is at its default left out, names that are not known ignored. Vectors are bytes as they
are, passages and appends are lists, times are msgpack's own timestamps.

Decoded by msgspec into the layouts of this module, which check what the models check.
"""

from collections.abc import Iterable
from datetime import datetime
from math import isfinite
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from schemas.base import MAX_VERSION, is_product_id

MARK = 0xC1
WHOLE = bytes((MARK, 1))
"""An index record."""
ATTRIBUTES = bytes((MARK, 2))
"""An attribute record."""

Scalar = str | bool | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | float
FieldValue = Scalar | tuple[Scalar, ...] | None
Fields = dict[str, FieldValue]
Count = Annotated[int, Meta(ge=0)]
LANGUAGE = r"^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7})?$"
Fingerprint = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
Moment = Annotated[datetime, Meta(tz=True)]
Place = Annotated[int, Meta(ge=0, le=MAX_VERSION)]


class RevisionLayout(msgspec.Struct, omit_defaults=True):
    """A `schemas.catalogue.Revision`."""

    line: str
    version: tuple[int, ...]
    appended: tuple[int, int, int] = (0, 0, 0)
    digest: str = ""
    partial: bool = False
    timeline: int = 0
    op: Literal["upsert", "patch", "delete"] = "upsert"
    fields: Fields = {}
    replaces: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


class DocumentLayout(msgspec.Struct, omit_defaults=True):
    """A `schemas.catalogue.Document`."""

    fields: Fields = {}
    revisions: tuple[RevisionLayout, ...] = ()
    base: int = -1
    owners: dict[str, Count] = {}


class CoordinatesLayout(msgspec.Struct):
    """`schemas.base.Coordinates`."""

    topic: str
    partition: Count
    offset: Place


class RecordLayout(msgspec.Struct, omit_defaults=True):
    """A `schemas.index.IndexRecord`."""

    product_id: str
    document: DocumentLayout
    fingerprint: Fingerprint
    dimensions: Annotated[int, Meta(ge=1, le=8192)]
    source: CoordinatesLayout
    epoch: Count
    event_time: Moment
    text: str = ""
    language: Annotated[str, Meta(pattern=LANGUAGE)] = ""
    content_hash: str = ""
    passages: tuple[tuple[Count, Count], ...] = ()
    vectors: bytes = b""


class AttributesLayout(msgspec.Struct, omit_defaults=True):
    """A `schemas.index.AttributeRecord`."""

    product_id: str
    changes: DocumentLayout
    content_hash: str
    fingerprint: Fingerprint
    source: CoordinatesLayout
    epoch: Count
    event_time: Moment


class RecordHead(msgspec.Struct):
    """What tells which of two records of a product counts."""

    product_id: str
    epoch: int


Layout = TypeVar("Layout", RecordLayout, AttributesLayout)
_ENCODER = msgspec.msgpack.Encoder()
_DOCUMENT = msgspec.msgpack.Decoder(DocumentLayout)
_RECORD = msgspec.msgpack.Decoder(RecordLayout)
_ATTRIBUTES = msgspec.msgpack.Decoder(AttributesLayout)
_HEAD, _JSON_HEAD = msgspec.msgpack.Decoder(RecordHead), msgspec.json.Decoder(RecordHead)


def is_binary(value: bytes) -> bool:
    """Whether a message is in binary form."""
    return value[:1] == WHOLE[:1]


def pack_record(record: RecordLayout) -> bytes:
    """Return an index record on the wire."""
    return WHOLE + _ENCODER.encode(record)


def unpack_record(value: bytes) -> RecordLayout:
    """Return an index record from the wire; raises `ValueError` with what is wrong."""
    record = _unpacked(value, WHOLE, _RECORD, name="index record")
    _check(record.product_id, record.document)
    return record


def pack_attributes(record: AttributesLayout) -> bytes:
    """Return an attribute record on the wire."""
    return ATTRIBUTES + _ENCODER.encode(record)


def unpack_attributes(value: bytes) -> AttributesLayout:
    """Return an attribute record from the wire; raises `ValueError` with what is wrong."""
    record = _unpacked(value, ATTRIBUTES, _ATTRIBUTES, name="attribute record")
    _check(record.product_id, record.changes)
    return record


def pack_document(document: DocumentLayout) -> bytes:
    """Return a document by itself."""
    return _ENCODER.encode(document)


def unpack_document(packed: bytes) -> DocumentLayout:
    """Return what `pack_document` was given."""
    return _DOCUMENT.decode(packed)


def head_of(value: bytes) -> RecordHead:
    """Return the head of an index or attribute record, in binary or JSON, without reading the rest."""
    return _HEAD.decode(memoryview(value)[len(WHOLE) :]) if is_binary(value) else _JSON_HEAD.decode(value)


def _check(product_id: str, document: DocumentLayout) -> None:
    """Raise `ValueError` for what the types alone let through."""
    if not is_product_id(product_id):
        raise ValueError("product_id is not 1 to 128 bytes of UTF-8 without control characters")
    places = range(len(document.revisions))
    if document.base not in range(-1, len(places)) or any(
        place not in places for place in document.owners.values()
    ):
        raise ValueError("document: its base, or an owner of a field, is none of its revisions")
    if not all(_is_finite(fields) for fields in (document.fields, *(r.fields for r in document.revisions))):
        raise ValueError("document: a number is not finite")


def _is_finite(fields: Fields) -> bool:
    return all(
        type(number) is not float or isfinite(number)
        for value in fields.values()
        for number in _scalars(value)
    )


def _scalars(value: FieldValue) -> Iterable[Scalar | None]:
    return value if isinstance(value, tuple) else (value,)


def _unpacked(value: bytes, mark: bytes, layout: msgspec.msgpack.Decoder[Layout], *, name: str) -> Layout:
    if not value.startswith(mark):
        raise ValueError(f"a message of kind {value[1:2].hex() or 'none'} is no {name} known here")
    return layout.decode(memoryview(value)[len(mark) :])
