"""Why a message from outside cannot be used: one stable code a reason, and what to do about it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "message.too_large": "The value is longer than 256 KiB.",
        "message.null": "The value is null on a topic where that has no meaning.",
        "json.invalid": "The value is not strict JSON in UTF-8: NaN, a byte order mark, a comment, ...",
        "json.too_deep": "Objects and lists are nested more than 32 deep.",
        "json.not_object": "The JSON is not an object.",
        "form.unknown": "The object is none of the accepted forms.",
        "header.invalid": "The name of a header, or a header that matters, is not UTF-8 text.",
        "cloudevents.invalid": "A CloudEvents attribute is missing or wrong.",
        "cloudevents.unsupported": "The CloudEvents version, batch or data format is not one Headrace reads.",
        "debezium.invalid": "A Debezium envelope without the row that its operation needs.",
        "schema.unknown": "The schema registry has no schema of the id that the message names.",
        "schema.invalid": "The schema that the message names cannot be used.",
        "schema.mismatch": "The bytes are not what their schema says.",
        "connect.invalid": "A value does not fit its Kafka Connect schema.",
        "op.missing": "A change does not say whether it is an upsert, a patch or a delete.",
        "op.unknown": "The operation is not one that Headrace knows.",
        "id.missing": "No product (or query) id was found.",
        "id.invalid": "An id is not 1 to 128 bytes of UTF-8 without control characters.",
        "version.invalid": "The version is not a whole number from 0 to 2^63 - 1.",
        "time.invalid": "A time is not ISO 8601 with an offset, nor a number since 1970.",
        "fields.missing": "A written product has no attributes.",
        "fields.invalid": "The attributes are not a JSON object.",
        "field.too_many": "A product has more than 100 attributes, nested ones counted.",
        "field.name_invalid": "An attribute's name is empty, longer than 256 characters or not printable.",
        "field.number_not_finite": "A number is too large for a 64-bit float.",
        "field.number_too_large": "A whole number does not fit in 64 bits.",
        "field.unsupported": "A value that search has no use for: bytes, a shape, a vector.",
        "field.partial": "Only a part of a list was written: the list stays as it was.",
        "field.missing": "A required field is absent.",
        "field.too_long": "A field is longer than its specification allows.",
        "field.invalid": "A field has the wrong type or a value out of range.",
    }
)
"""Every reason code that a decoder gives; a code is never renamed, and its meaning never changes."""


class LeftOut(NamedTuple):
    """An attribute that cannot be taken: `reason` is a code of `REASONS`, `explanation` says what to do."""

    attribute: str
    reason: str
    explanation: str


class WireError(ValueError):
    """This message can never be used: `reason` is a code of `REASONS`, `explanation` says what to do."""

    def __init__(self, reason: str, explanation: str) -> None:
        super().__init__(f"{reason}: {explanation}")
        self.reason = reason
        self.explanation = explanation

    def leaving_out(self, attribute: str) -> "LeftOut":
        """Return the same about one attribute, without which the message can be used."""
        return LeftOut(attribute[:256], self.reason, self.explanation)


def shown(value: object) -> str:
    """Return a value as an explanation shows it: quoted, short, without control characters."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
