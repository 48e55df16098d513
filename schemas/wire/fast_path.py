"""The fast path: our own form as most producers write it, flat and with short texts, in one pass of msgspec.

What it reads means the same as on the way that every form takes (`schemas.wire.catalogue`), a property test
says so; what is anything else, or wrong in any way, is left to that way, which knows the reasons.
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.base import MAX_ATTRIBUTES, MAX_MESSAGE_BYTES
from schemas.wire.change import Draft, Envelope, read_id, read_moment, read_version
from schemas.wire.errors import WireError
from schemas.wire.fields import SURELY_SHORT, Fields, checked_name
from schemas.wire.strict_json import HIGHEST_INTEGER, LOWEST_INTEGER

_SPEAKING = ("ce_", "__", "content-type")
"""How headers begin that say what form a message has."""

Text = Annotated[str, Meta(max_length=SURELY_SHORT)]
Integer = Annotated[int, Meta(ge=LOWEST_INTEGER, le=HIGHEST_INTEGER)]
Scalar = Text | bool | Integer | float


class _FlatChange(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    product_id: str
    op: Literal["upsert", "patch"]
    fields: Annotated[dict[str, Scalar | tuple[Scalar, ...] | None], Meta(max_length=MAX_ATTRIBUTES)]
    version: int | float | str | None = None
    event_time: int | float | str | None = None


_DECODER = msgspec.json.Decoder(_FlatChange)


def read(value: bytes | None, envelope: Envelope) -> Draft | None:
    """Return the change; None: it is read by its form."""
    change = None if envelope.headers and _speak(envelope.headers) else _decoded(value)
    if change is None:
        return None
    fields = Fields(change.fields)
    return Draft("plain", change.product_id, change.op, fields, change.version, change.event_time)


def product_id(value: bytes | None, numbers: Collection[str] = ()) -> str | None:
    """Return the id of a message without headers that nothing is wrong with; None: it is to be read.

    One of the attributes named in `numbers` that is a text, or a list, is to be read.
    """
    change = _decoded(value)
    if change is None or any(isinstance(change.fields.get(name), (str, tuple)) for name in numbers):
        return None
    try:
        for check, stated in ((read_version, change.version), (read_moment, change.event_time)):
            if stated is not None:
                check(stated)
        return read_id(change.product_id)
    except WireError:
        return None


def _decoded(value: bytes | None) -> _FlatChange | None:
    if value is None or len(value) > MAX_MESSAGE_BYTES:
        return None
    try:
        change = _DECODER.decode(value)
        for name in change.fields:
            checked_name(name)
    except (msgspec.DecodeError, WireError):
        return None
    return change


def _speak(headers: Mapping[str, bytes]) -> bool:
    return any(name.startswith(_SPEAKING) for name in headers)
