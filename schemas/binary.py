"""The binary form of the messages that carry vectors: two bytes that say which, then msgpack.

The first byte is `c1`, which neither JSON nor msgpack nor a message of a schema registry begins with, the
second says which message and layout it is. What follows is the msgpack map that the message's JSON would be:
the same names, what is at its default left out, names that are not known ignored. Vectors are bytes as they
are, passages and appends are lists, times are msgpack's own timestamps.

Decoded by msgspec into the layouts of this module, which check what the models check.
"""

from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta
from msgspec.structs import asdict

from schemas.base import MAX_VERSION, FieldValue, is_product_id
from schemas.catalogue import Document

MARK = 0xC1
WHOLE = bytes((MARK, 1))
"""An index record."""
ATTRIBUTES = bytes((MARK, 2))
"""An attribute record."""

Count = Annotated[int, Meta(ge=0)]
LANGUAGE = r"^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7})?$"
Fingerprint = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
Moment = Annotated[datetime, Meta(tz=True)]
Place = Annotated[int, Meta(ge=0, le=MAX_VERSION)]


class CoordinatesLayout(msgspec.Struct):
    """`schemas.base.Coordinates`."""

    topic: str
    partition: Count
    offset: Place


class Layout(msgspec.Struct):
    """The fields of a record as they are written, in order; its mark, and which of them is a document."""

    mark: ClassVar[bytes]
    document_name: ClassVar[str]


class RecordLayout(Layout, omit_defaults=True):
    """A `schemas.index.IndexRecord`."""

    mark: ClassVar[bytes] = WHOLE
    document_name: ClassVar[str] = "document"

    product_id: str
    document: Document
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


class AttributesLayout(Layout, omit_defaults=True):
    """A `schemas.index.AttributeRecord`."""

    mark: ClassVar[bytes] = ATTRIBUTES
    document_name: ClassVar[str] = "changes"

    product_id: str
    changes: Document
    content_hash: str
    fingerprint: Fingerprint
    source: CoordinatesLayout
    epoch: Count
    event_time: Moment


class RecordHead(msgspec.Struct):
    """What tells which of two records of a product counts."""

    product_id: str
    epoch: int


_ENCODER = msgspec.msgpack.Encoder()
_DOCUMENT = msgspec.msgpack.Decoder(Document)
_LAYOUTS: tuple[type[Layout], ...] = (RecordLayout, AttributesLayout)
_DECODERS: Mapping[type[Layout], msgspec.msgpack.Decoder[Any]] = {  # Any: of each layout its own
    layout: msgspec.msgpack.Decoder(layout) for layout in _LAYOUTS
}
_NAMES = {RecordLayout: "index record", AttributesLayout: "attribute record"}
_HEAD, _JSON_HEAD = msgspec.msgpack.Decoder(RecordHead), msgspec.json.Decoder(RecordHead)


def is_binary(value: bytes) -> bool:
    """Whether a message is in binary form."""
    return value[:1] == WHOLE[:1]


def pack(record: Layout) -> bytes:
    """Return a record on the wire."""
    return record.mark + _ENCODER.encode(record)


def unpack(value: bytes, layout: type[Layout]) -> dict[str, Any]:  # Any: of each field its own
    """Return the fields of a record from the wire; raises `ValueError` with what is wrong."""
    if not value.startswith(layout.mark):
        raise ValueError(f"a message of kind {value[1:2].hex() or 'none'} is no {_NAMES[layout]} known here")
    fields = asdict(_DECODERS[layout].decode(memoryview(value)[len(layout.mark) :]))
    _check(fields["product_id"], fields[layout.document_name])
    return fields


def pack_document(document: Document) -> bytes:
    """Return a document by itself."""
    return _ENCODER.encode(document)


def unpack_document(packed: bytes) -> Document:
    """Return what `pack_document` was given."""
    return _DOCUMENT.decode(packed)


def head_of(value: bytes) -> RecordHead:
    """Return the head of an index or attribute record, in binary or JSON, without reading the rest."""
    return _HEAD.decode(memoryview(value)[len(WHOLE) :]) if is_binary(value) else _JSON_HEAD.decode(value)


def _check(product_id: str, document: Document) -> None:
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


def _is_finite(fields: Mapping[str, FieldValue]) -> bool:
    for value in fields.values():  # a generator over all of it takes three times as long
        if type(value) is float:
            if not isfinite(value):
                return False
        elif type(value) is tuple and not all(isfinite(number) for number in value if type(number) is float):
            return False
    return True
