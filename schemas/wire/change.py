"""What every form of a catalogue change has in common: identity, version, time, attributes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from schemas.base import MAX_VERSION, Timestamp
from schemas.catalogue import ProductChange
from schemas.wire.errors import WireError, shown
from schemas.wire.fields import NONE, Fields

Operation = Literal["upsert", "patch", "delete"]
Form = Literal["plain", "debezium", "opensearch", "cloudevents", "tombstone"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_IDENTIFIER = re.compile(r"[\x21-\x7e]{1,128}")
_MOMENT = TypeAdapter[datetime](Timestamp)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What Kafka itself says about a message; of a header that comes twice, the last counts."""

    key: bytes | None
    headers: Mapping[str, bytes]
    timestamp: datetime
    offset: int

    @classmethod
    def of(
        cls, key: bytes | None, headers: Sequence[tuple[str, bytes]], *, timestamp: datetime, offset: int
    ) -> "Envelope":
        """Index the headers by lower-case name; a header without a value is absent."""
        named = {name.lower(): value for name, value in headers if value is not None} if headers else {}
        return cls(key, named, timestamp, offset)

    def header(self, name: str) -> str | None:
        """Return a header as text; raises `WireError` when it is not UTF-8."""
        value = self.headers.get(name)
        try:
            return None if value is None else value.decode()
        except UnicodeDecodeError as error:
            raise WireError("header.invalid", f"header {name!r} is not UTF-8: send text") from error


@dataclass(slots=True)
class Draft:
    """A change as its form states it; what it does not state, the envelope fills in."""

    form: Form
    product_id: object
    op: Operation
    fields: Fields = NONE
    version: object = None
    event_time: object = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A decoded change, the form it came in, and the attributes whose text was cut to 32 KiB."""

    change: ProductChange
    form: Form
    cut: tuple[str, ...] = ()


def complete(draft: Draft, envelope: Envelope) -> Reading:
    """Settle identity, version and time; raises `WireError`.

    Version: what the form states, else a `version` header, else the event time in milliseconds, else the
    offset. Event time: what the form states, else the record's timestamp.
    """
    moment = None if draft.event_time is None else read_moment(draft.event_time)
    change = ProductChange.model_construct(
        product_id=read_id(draft.product_id),
        op=draft.op,
        version=_version(draft.version, moment, envelope),
        event_time=moment or envelope.timestamp,
        fields=draft.fields.values,
    )
    return Reading(change, draft.form, draft.fields.cut)


def read_id(value: object) -> str:
    """Return a product id: text, or a whole number written out."""
    if value is None or value == "":
        raise WireError("id.missing", "no product id: send it as 'product_id' (or what your form calls it)")
    text = str(value) if type(value) is int else value
    if type(text) is not str or _IDENTIFIER.fullmatch(text) is None:
        raise WireError(
            "id.invalid",
            f"the product id {shown(value)} is not 1 to 128 printable ASCII characters without spaces",
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
        return _MOMENT.validate_python(value)
    except (ValidationError, OverflowError) as error:
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


def milliseconds(moment: datetime) -> int:
    """Return whole milliseconds since 1970, 0 for anything before."""
    return max(0, (moment - _EPOCH) // _MILLISECOND)


def clamp_event_time(moment: datetime, now: datetime, retention: timedelta) -> datetime:
    """Bound an event time to `[now - retention, now + 5 min]`: clocks of phones are wrong by years."""
    return min(max(moment, now - retention), now + timedelta(minutes=5))


def _version(stated: object, moment: datetime | None, envelope: Envelope) -> int:
    if stated is None:
        stated = envelope.header("version")
    if stated is not None:
        return read_version(stated)
    return envelope.offset if moment is None else milliseconds(moment)
