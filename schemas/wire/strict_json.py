"""JSON as the bus accepts it: strict, in UTF-8, not too large; its numbers finite and within 64 bits."""

from collections.abc import Iterable
from math import isfinite
from typing import Any

from pydantic_core import from_json

from schemas.base import MAX_DEPTH, MAX_MESSAGE_BYTES
from schemas.wire.errors import WireError

LOWEST_INTEGER = -(2**63)
HIGHEST_INTEGER = 2**63 - 1

Object = dict[str, Any]  # Any: JSON from outside, checked by who reads it


def parse_object(value: bytes, *, limit: int | None = MAX_MESSAGE_BYTES) -> Object:
    """Return the JSON object in `value`; raises `WireError` when it is anything else.

    Refused beside bad syntax: NaN and infinity, a byte order mark, bad UTF-8, lone surrogates, hundreds of
    levels, more than `limit` bytes. Of a key that comes twice the last counts, as in every common JSON
    reader. What its values may be is for `check_values`, or for who takes them one by one.
    """
    if limit is not None and len(value) > limit:
        raise too_large(len(value), limit)
    tree = parse(value)
    if type(tree) is not dict:
        raise WireError("json.not_object", f"the value is {_kind(tree)}; send one JSON object a message")
    return tree


def check_values(tree: Object) -> None:
    """Refuse what no message of ours has anywhere: 1e999, whole numbers beyond 64 bits, 33 levels."""
    bad = _bad_number(tree.values(), 1)
    if bad is not None:
        raise refused_number(_name_of(bad, tree) or "a number", bad)


def parse(value: bytes) -> Any:  # Any: it is JSON
    """Return what the bytes say in strict JSON (numbers are not checked); raises `WireError`."""
    try:
        return from_json(value, allow_inf_nan=False)
    except ValueError as error:
        if "recursion limit" in str(error):
            raise too_deep() from error
        raise WireError("json.invalid", _why_invalid(value, str(error))) from error


def too_large(size: int, limit: int = MAX_MESSAGE_BYTES) -> WireError:
    """Return the error for a message beyond the limit."""
    return WireError(
        "message.too_large", f"{size} bytes; at most {limit} are read: leave large attributes out"
    )


def too_deep() -> WireError:
    """Return the error for objects nested beyond the limit."""
    return WireError("json.too_deep", f"more than {MAX_DEPTH} levels of nesting: flatten the message")


def _bad_number(items: Iterable[Any], depth: int) -> float | None:  # Any: JSON
    """Return the first number out of bounds. Kept to type tests, because every event passes here."""
    if depth > MAX_DEPTH:
        raise too_deep()
    for item in items:
        kind = type(item)
        if kind is str:
            continue
        if kind is dict or kind is list:
            bad = _bad_number(item.values() if kind is dict else item, depth + 1)
            if bad is not None:
                return bad
        elif (kind is float and not isfinite(item)) or (
            kind is int and not LOWEST_INTEGER <= item <= HIGHEST_INTEGER
        ):
            number: float = item
            return number
    return None


def refused_number(name: str, number: float) -> WireError:
    """Return the error for a number that is infinite, or whole and beyond 64 bits."""
    if type(number) is int:
        return WireError(
            "field.number_too_large", f"{name!r} does not fit in 64 bits: send it as text if it is a code"
        )
    return WireError("field.number_not_finite", f"{name!r} is not a finite number: send null instead")


def _name_of(number: float, node: Any, name: str = "") -> str | None:  # Any: JSON
    """Return the name under which the very object `number` lies, walking as `_bad_number` does."""
    if node is number:
        return name
    items = (
        node.items() if type(node) is dict else [(name, item) for item in node] if type(node) is list else ()
    )
    names = (_name_of(number, item, inner) for inner, item in items)
    return next((inner for inner in names if inner is not None), None)


def _kind(tree: object) -> str:
    kinds = {list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number"}
    return kinds.get(type(tree), "null")


def _why_invalid(value: bytes, error: str) -> str:
    hints = {
        b"": "the value is empty; to delete a product send a null value (a tombstone)",
        b"\xef\xbb\xbf": "the value starts with a byte order mark: write UTF-8 without one",
        b"\x00": "the value starts with a zero byte: if a schema registry explains it, "
        "set HEADRACE_REGISTRY__URL; else send JSON",
    }
    for start, hint in hints.items():
        if value == start or (start and value.startswith(start)):
            return hint
    if b"\n" not in value:
        error = error.replace("at line 1 column", "at column")
    return f"{error}: send strict JSON in UTF-8 (no NaN, no comments, no lone surrogates)"
