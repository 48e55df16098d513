"""Every other message: strict JSON, then its model, with each fault put in words and given its reason."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from schemas.base import MAX_MESSAGE_BYTES, Message
from schemas.binary import is_binary
from schemas.index import BINARY
from schemas.search import SearchEvent, SearchQuery
from schemas.wire.errors import WireError, shown
from schemas.wire.fields import cut_text
from schemas.wire.strict_json import Object, check_values, parse_object

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

M = TypeVar("M", bound=Message)

_REASONS = {
    "missing": "field.missing",
    "string_too_long": "field.too_long",
    "string_too_short": "id.missing",
    "string_pattern_mismatch": "id.invalid",
    "finite_number": "field.number_not_finite",
}
_CUT = ("user_query", "message")


def decode_query(value: bytes | None, *, timestamp: datetime | None = None) -> SearchQuery:
    """Read a UBI 1.3 query; raises `WireError`. Without a time of its own it takes `timestamp`."""
    tree = _read(value)
    if tree.get("timestamp") is None and timestamp is not None:
        tree["timestamp"] = timestamp
    return _validated(SearchQuery, tree)


def decode_event(value: bytes | None) -> SearchEvent:
    """Read a UBI 1.3 event; raises `WireError`.

    A `session_id` inside `event_attributes`, where writers of UBI 1.0 put it, counts when there is no other.
    """
    tree = _read(value)
    attributes = tree.get("event_attributes")
    if "session_id" not in tree and type(attributes) is dict and type(attributes.get("session_id")) is str:
        tree["session_id"] = attributes["session_id"][:100]
    return _validated(SearchEvent, tree)


def decode_message(kind: type[M], value: bytes | None) -> M:
    """Read a message of our own topics; raises `WireError`. Those with vectors may be of any size."""
    if kind in BINARY and is_binary(_present(value)):
        try:
            return kind.decode(_present(value))
        except ValidationError as error:
            raise WireError("field.invalid", error.errors()[0]["msg"]) from error
    limit = MAX_MESSAGE_BYTES if "vectors" not in kind.model_fields else None
    check_values(parse_object(_present(value), limit=limit))
    try:
        return kind.model_validate_json(_present(value))
    except ValidationError as error:
        raise _explained(error) from error


def _read(value: bytes | None) -> Object:
    tree = parse_object(_present(value))
    check_values(tree)
    for name in _CUT:
        if type(tree.get(name)) is str:
            tree[name] = cut_text(tree[name])
    return tree


def _present(value: bytes | None) -> bytes:
    if value is None:
        raise WireError("message.null", "the value is null; on this topic that means nothing")
    return value


def _validated(kind: type[M], tree: dict[str, Any]) -> M:  # Any: JSON from outside
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise _explained(error) from error


def _explained(error: ValidationError) -> WireError:
    """Return the first fault's reason, and every fault in words."""
    faults = error.errors(include_url=False, include_context=False)
    return WireError(_reason(faults[0]), "; ".join(map(_in_words, faults[:5])))


def _reason(fault: "ErrorDetails") -> str:
    kind = fault["type"]
    if kind == "missing" and str(fault["loc"][-1]).endswith("_id"):
        return "id.missing"
    if "timestamp" in fault["loc"] or kind.startswith(("datetime", "timezone", "date")):
        return "field.missing" if kind == "missing" else "time.invalid"
    return _REASONS.get(kind, "field.invalid")


def _in_words(fault: "ErrorDetails") -> str:
    where = ".".join(map(str, fault["loc"])) or "the message"
    if fault["type"] == "missing":
        return f"{where!r} is missing"
    return f"{where!r} is {shown(fault['input'])}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
