"""What every form of a catalogue change has in common: identity, version, time, attributes."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Literal

import msgspec
from pydantic import TypeAdapter
from pydantic_core import to_json

from schemas.base import MAX_VERSION, Timestamp, is_product_id, milliseconds
from schemas.catalogue import Appended, Operation, Stamp, StampedChange
from schemas.wire.errors import LeftOut, WireError, shown
from schemas.wire.fields import NONE, Fields
from schemas.wire.stamps import (
    APPEND,
    ENVELOPED,
    FLATTENED,
    STATED,
    TIME,
    TOMBSTONE,
    LinePosition,
    part_of,
    position_of,
)
from schemas.wire.strict_json import Object

HIGHEST_PLACE = 2**64 - 1
"""Numbers of more bits cannot be written down, in state or in records."""

Form = Literal["plain", "debezium", "flattened", "opensearch", "cloudevents", "tombstone"]

_MOMENT = TypeAdapter[datetime](Timestamp)
_USUAL_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What Kafka itself says about a message; of a header that comes twice, the last counts."""

    key: bytes | None
    headers: Mapping[str, bytes]
    timestamp: datetime
    appended: Appended

    @classmethod
    def of(
        cls,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        *,
        timestamp: datetime,
        partition: int,
        offset: int,
    ) -> "Envelope":
        """Index the headers by lower-case name; a header without a value is absent."""
        named = {name.lower(): value for name, value in headers if value is not None} if headers else {}
        return cls(key, named, timestamp, Appended(milliseconds(timestamp), partition, offset))

    def header(self, name: str) -> str | None:
        """Return a header as text; raises `WireError` when it is not UTF-8."""
        value = self.headers.get(name)
        try:
            return None if value is None else value.decode()
        except UnicodeDecodeError as error:
            raise WireError("header.invalid", f"header {name!r} is not UTF-8: send text") from error


class Draft(msgspec.Struct, gc=False):
    """A change as its form states it; what it does not state, the envelope fills in.

    `source` is Debezium's source block: where in its database the change was made. `kept` names attributes
    that an upsert does not know and leaves as they were; their dotted ones too.
    """

    form: Form
    product_id: object
    op: Operation
    fields: Fields = NONE
    version: object = None
    event_time: object = None
    source: Object | None = None
    kept: tuple[str, ...] = ()
    unversioned: str = APPEND
    """The line of a change that states no version."""


class DecodedChange(msgspec.Struct, frozen=True, gc=False):
    """A decoded change, the form it came in, and the attributes that were cut to 32 KiB or left out."""

    change: StampedChange
    form: Form
    cut: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    source: Object | None = None
    """Debezium's source block, where there is one."""


def complete(draft: Draft, envelope: Envelope, parts: Collection[str] = ()) -> DecodedChange:
    """Settle identity, version and time; raises `WireError`. `parts` names tables of a part of a product.

    Version: where Debezium's source block says that the change was made, else what the form states, else a
    `version` header, else the event time, else where the message lies (see `schemas.wire.stamps`). Event
    time: what the form states, else the record's timestamp.
    """
    moment = None if draft.event_time is None else read_moment(draft.event_time)
    line, version = _position(draft, moment, envelope)
    part = None if draft.source is None or not parts else part_of(draft.source, parts)
    line = line if part is None else f"{line}/{part}"
    change = StampedChange(
        read_id(draft.product_id),
        draft.op,
        moment or envelope.timestamp,
        Stamp(line, version, envelope.appended, _digest(draft, line), part is not None),
        version[0] if line == STATED else None,
        draft.fields.values,
        draft.fields.replaces if draft.op == "patch" else (),
        draft.kept,
    )
    return DecodedChange(change, draft.form, draft.fields.cut, draft.fields.left_out, draft.source)


def _position(draft: Draft, moment: datetime | None, envelope: Envelope) -> LinePosition:
    """Return the line of versions and the version in it."""
    kind = ENVELOPED if draft.form in ("debezium", "cloudevents") else FLATTENED
    if draft.source is not None and (position := position_of(draft.source, kind)) is not None:
        if (highest := max(position.version)) > HIGHEST_PLACE:
            explanation = (
                f"the place {shown(highest)} in 'source' does not fit in 64 bits: no database has it"
            )
            raise WireError("version.invalid", explanation)
        return position
    stated = envelope.header("version") if draft.version is None else draft.version
    if stated is not None:
        return LinePosition(STATED, (read_version(stated),))
    if moment is not None and moment <= envelope.timestamp:
        return LinePosition(TIME, (version_at(moment),))
    return LinePosition(draft.unversioned, tuple(envelope.appended))


def _digest(draft: Draft, line: str) -> str:
    """Return what tells a repetition from another change of the same version."""
    if line in (APPEND, TOMBSTONE):  # its version is its place, which no other change has
        return ""
    said = to_json((draft.op, draft.fields.values, draft.fields.replaces, draft.kept))
    return blake2b(said, digest_size=8).hexdigest()


def read_id(value: object) -> str:
    """Return a product id: text, or a whole number written out."""
    if value is None or value == "":
        raise WireError("id.missing", "no product id: send it as 'product_id' (or what your form calls it)")
    text = str(value) if type(value) is int else value
    if type(text) is not str or not is_product_id(text):
        raise WireError(
            "id.invalid",
            f"the product id {shown(value)} is not 1 to 128 bytes of UTF-8 without control characters",
        )
    return text


def read_version(value: object) -> int:
    """Return a version: a whole number, or its decimal digits, from 0 to 2^63 - 1."""
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= 19:
        value = int(value)
    if type(value) is not int or not 0 <= value <= MAX_VERSION:
        raise WireError(
            "version.invalid", f"the version {shown(value)} is not a whole number from 0 to 2^63 - 1"
        )
    return value


def read_moment(value: object) -> datetime:
    """Return a time in UTC: ISO 8601 with an offset, or seconds or milliseconds since 1970."""
    if type(value) is datetime:
        return value
    try:
        if type(value) is str and _USUAL_TEXT.fullmatch(value) is not None:
            return datetime.fromisoformat(value)  # in half of the time
        return _MOMENT.validate_python(value)
    except (ValueError, OverflowError) as error:  # pydantic's is a ValueError
        raise WireError(
            "time.invalid",
            f"the time {shown(value)} is not like 2026-01-31T12:00:00Z nor milliseconds since 1970",
        ) from error


def read_operation(value: object, known: Mapping[str, Operation]) -> Operation:
    """Return the operation that a form's own word stands for."""
    if value is None:
        raise WireError("op.missing", f"no operation: send one of {', '.join(known)}")
    operation = known.get(value) if type(value) is str else None
    if operation is None:
        raise WireError("op.unknown", f"the operation {shown(value)} is none of {', '.join(known)}")
    return operation


def version_at(moment: datetime) -> int:
    """Return the version of what happened then: milliseconds since 1970, 0 for anything before."""
    return max(0, milliseconds(moment))


def clamp_event_time(moment: datetime, now: datetime, retention: timedelta) -> datetime:
    """Bound an event time to `[now - retention, now + 5 min]`: clocks of phones are wrong by years."""
    return min(max(moment, now - retention), now + timedelta(minutes=5))
