"""What every message has in common: frozen, finite, tolerant of fields it does not know."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import quote

from msgspec import Meta
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

MAX_MESSAGE_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_TEXT_BYTES = 32 * 1024
MAX_ATTRIBUTES = 100
MAX_VERSION = 2**63 - 1

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def milliseconds(moment: datetime) -> int:
    """Return whole milliseconds since 1970; below zero before."""
    return (moment - EPOCH) // MILLISECOND


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:  # 0001-01-01T00:00+01:00 is in no year of Python's
        raise ValueError("the time is before the year 1 or after 9999 in UTC") from error


Timestamp = Annotated[AwareDatetime, AfterValidator(_utc)]
"""An aware datetime, kept in UTC; a number on the wire is read as seconds or milliseconds since 1970."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,128}$")]
"""1 to 128 printable ASCII characters without spaces; never used as a file name."""

MAX_ID_BYTES = 128
_PRODUCT_ID = r"^[^\x00-\x1f\x7f-\x9f]{1,128}$"
_NAMES_A_PRODUCT = re.compile(_PRODUCT_ID[1:-1])


def is_product_id(text: str) -> bool:
    """Whether a text is 1 to 128 bytes of UTF-8 without control characters."""
    return _NAMES_A_PRODUCT.fullmatch(text) is not None and (
        text.isascii() or len(text.encode()) <= MAX_ID_BYTES
    )


def _short_enough(text: str) -> str:
    if not is_product_id(text):
        raise ValueError(f"a product id has at most {MAX_ID_BYTES} bytes in UTF-8")
    return text


ProductId = Annotated[str, StringConstraints(pattern=_PRODUCT_ID), AfterValidator(_short_enough)]
"""1 to 128 bytes of UTF-8 without control characters, as they came; never used as a file name."""

Version = Annotated[int, Field(ge=0, le=MAX_VERSION)]
Offset = Annotated[int, Field(ge=0, le=MAX_VERSION)]
Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
"""The first 16 hexadecimal digits of a model's SHA-256 (weights, tokenizer, prompts, pooling, ...)."""

GenerationName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Score = Annotated[float, Field(allow_inf_nan=False)]

_Integer = Annotated[int, Field(ge=-(2**63), le=2**63 - 1), Meta(ge=-(2**63), le=2**63 - 1)]
Scalar = str | bool | _Integer | Score
FieldValue = Scalar | tuple[Scalar, ...] | None
"""A product attribute: a scalar, a list of scalars, or null (the attribute is absent)."""


def in_path(product_id: str) -> str:
    """Return a product id as one segment of a URL's path; `.` and `..` stay ids, and lead nowhere else."""
    segment = quote(product_id, safe="")
    return segment if product_id.strip(".") else segment.replace(".", "%2E")


class Value(BaseModel):
    """A frozen part of a message; unknown fields are ignored, numbers are finite."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", allow_inf_nan=False, ser_json_bytes="base64", val_json_bytes="base64"
    )

    @classmethod
    def unchecked(cls, values: dict[str, Any]) -> Self:  # Any: of every field its own
        """Return the value that has these fields, which must be all of them; they are not checked.

        For what was checked when it was read: `model_construct` takes five times as long.
        """
        made, put = object.__new__(cls), object.__setattr__
        put(made, "__dict__", values)
        put(made, "__pydantic_fields_set__", set(values))
        put(made, "__pydantic_extra__", None)
        put(made, "__pydantic_private__", None)
        return made


class Message(Value):
    """One frozen fact on one topic; `topic` names its version, `key()` its partition and identity."""

    topic: ClassVar[str]

    def key(self) -> bytes:
        """Return the Kafka key: equal keys share a partition and replace each other when compacted."""
        raise NotImplementedError

    def encode(self) -> bytes:
        """Return the message as it is written."""
        return self.as_json()

    def as_json(self) -> bytes:
        """Return the message as UTF-8 JSON, which people read; fields at their default are left out."""
        return self.model_dump_json(exclude_defaults=True).encode()

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read a message from JSON; raises `pydantic.ValidationError` with what is wrong where."""
        return cls.model_validate_json(value)


class Coordinates(Value):
    """Where in Kafka something was read."""

    topic: str
    partition: Annotated[int, Field(ge=0)]
    offset: Offset
