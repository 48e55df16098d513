"""Changes of the catalogue on their way to the topic: checked as the embedder will read them, and counted."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal

from headrace.errors import ChangeRefusedError
from schemas.catalogue import ProductChange
from schemas.wire import SkippedMessage, WireError, read_change
from shared.records import Outgoing

Change = ProductChange | Mapping[str, object]
"""A change as a model, or by the names it has on the topic: product_id, op, fields, version, ..."""
NAMES = frozenset(ProductChange.model_fields)
MAY_BE_NONE = ("version", "event_time")
AT_ONCE = 1000
BYTES_AT_ONCE = 2 * 1024 * 1024
"""So many changes, and bytes of them, are in memory at a time, and one change more."""
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class WriteReceipt:
    """Where what was written ends: it lies below these offsets of the catalogue's changes, by partition.

    `str()` and `WriteReceipt.parse` make a text of it and back, to hand it to another process.
    """

    offsets: Mapping[int, int] = field(default_factory=dict)
    changes: int = 0
    """How many were written."""
    partitions: int = 0
    """How many the topic has."""

    def __or__(self, other: "WriteReceipt") -> "WriteReceipt":
        """Return the receipt of both."""
        ends = dict(self.offsets)
        for number, offset in other.offsets.items():
            ends[number] = max(offset, ends.get(number, 0))
        return WriteReceipt(ends, self.changes + other.changes, max(self.partitions, other.partitions))

    def __str__(self) -> str:
        ends = {str(number): self.offsets[number] for number in sorted(self.offsets)}
        return json.dumps({"offsets": ends, "changes": self.changes, "partitions": self.partitions})

    @classmethod
    def parse(cls, text: str) -> "WriteReceipt":
        """Return the receipt that a text states; raises `ValueError` when it states none.

        >>> WriteReceipt.parse('{"offsets": {"2": 40718}, "changes": 3, "partitions": 4}').offsets
        {2: 40718}
        """
        stated = json.loads(text)
        try:
            ends = {int(number): int(offset) for number, offset in stated["offsets"].items()}
            return cls(ends, int(stated["changes"]), int(stated["partitions"]))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"{text!r} is no receipt") from error


def portions(changes: Iterable[Change]) -> Iterator[list[Outgoing]]:
    """Yield what is to be written, some after the other; of a list or tuple all are checked before the first.

    Raises `ChangeRefusedError` for the first that is no change.
    """
    if isinstance(changes, list | tuple):
        for index, change in enumerate(changes):
            outgoing(index, change)
    gathered = ChangePortion()
    for change in changes:
        if gathered.add(change):
            yield gathered.take()
    if gathered.messages:
        yield gathered.take()


class ChangePortion:
    """Changes that are written together, while they are gathered."""

    def __init__(self) -> None:
        self.messages: list[Outgoing] = []
        self._taken = 0
        self._bytes = 0

    def add(self, change: Change) -> bool:
        """Add a change, and say whether that is enough; raises `ChangeRefusedError`."""
        message = outgoing(self._taken + len(self.messages), change)
        self.messages.append(message)
        self._bytes += len(message.value or b"")
        return len(self.messages) >= AT_ONCE or self._bytes >= BYTES_AT_ONCE

    def take(self) -> list[Outgoing]:
        """Return what is gathered, and begin anew."""
        messages, self.messages, self._bytes = self.messages, [], 0
        self._taken += len(messages)
        return messages


def outgoing(index: int, change: Change) -> Outgoing:
    """Return the message of a change; raises `ChangeRefusedError` when it would not be taken whole."""
    name = _name(change)
    try:
        value = _encoded(change)
        reading = read_change(key=None, value=value, headers=(), timestamp=NEVER, offset=0)
    except WireError as error:
        raise ChangeRefusedError(index, name, reason=error.reason, explanation=error.explanation) from error
    except SkippedMessage as message:
        explanation = f"a {message.kind} is no change"
        raise ChangeRefusedError(index, name, reason="form.unknown", explanation=explanation) from message
    for lost in reading.left_out:
        explanation = f"{lost.attribute!r}: {lost.explanation}"
        raise ChangeRefusedError(index, name, reason=lost.reason, explanation=explanation)
    return Outgoing(ProductChange.topic, reading.change.product_id.encode(), value)


def _name(change: object) -> str:
    if isinstance(change, ProductChange):
        return change.product_id
    product_id = change.get("product_id", "") if isinstance(change, Mapping) else type(change).__name__
    return ascii(product_id)[1:-1][:60] if isinstance(product_id, str) else ascii(product_id)[:60]


def _encoded(change: object) -> bytes:
    if isinstance(change, ProductChange):
        return change.encode()
    if not isinstance(change, Mapping):
        raise WireError("form.unknown", "send a ProductChange, or a mapping with product_id, op and fields")
    if unknown := sorted(map(str, change.keys() - NAMES)):
        raise WireError("form.unknown", f"{unknown[0]!r} is no part of a change: {', '.join(sorted(NAMES))}")
    if "product_id" not in change:
        raise WireError("id.missing", "a change says whose it is: product_id")
    absent = {name for name in MAY_BE_NONE if change.get(name) is None}
    return as_json({name: value for name, value in change.items() if name not in absent})


def as_json(value: Mapping[str, object]) -> bytes:
    """Return strict JSON in UTF-8; raises `WireError` for what it does not have."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError is one
        raise WireError("field.unsupported", f"it cannot be written as JSON: {error}") from error


def _plain(value: object) -> object:
    """Return what JSON has for a value that it does not know; raises `TypeError`."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Decimal):
        number = float(value)
        return int(value) if number.is_integer() and value == int(value) else number
    if isinstance(value, datetime) and value.tzinfo is None:
        raise TypeError(f"{value} has no offset: give it a time zone")
    if isinstance(value, date):  # datetime is one
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if hasattr(value, "tolist"):  # numpy's and pandas' numbers and arrays
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no text, number, truth value, list or object")
