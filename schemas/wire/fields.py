"""Attributes as they come, to attributes as Headrace keeps them: flat, scalar, bounded."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from schemas.base import MAX_ATTRIBUTES, MAX_TEXT_BYTES, FieldValue
from schemas.wire.errors import WireError, shown

MAX_NAME = 256
_SURELY_SHORT = MAX_TEXT_BYTES // 4


class Fields(NamedTuple):
    """Flat attributes, and the names of those whose text was cut to 32 KiB."""

    values: dict[str, FieldValue]
    cut: tuple[str, ...] = ()


NONE = Fields({})


def read_fields(source: object) -> Fields:
    """Flatten nested objects to dotted names, keep lists of scalars, cut long text, count.

    `{"brand": {"name": "A"}}` is `brand.name`; a list of objects gives one list a name, as in a search
    engine: `{"sizes": [{"eu": 40}, {"eu": 41}]}` is `sizes.eu: [40, 41]`. Nulls in lists are dropped.
    """
    if type(source) is not dict:
        raise WireError(
            "fields.invalid", f"the attributes are {shown(source)}: send an object of name: value"
        )
    flattening = _Flattening()
    flattening.add("", source)
    count = len(flattening.values)
    if count > MAX_ATTRIBUTES:
        raise WireError(
            "field.too_many", f"{count} attributes; at most {MAX_ATTRIBUTES}: send what is searched"
        )
    return Fields(flattening.values, tuple(flattening.cut))


def cut_text(text: str) -> str:
    """Return the text, or its longest start of at most 32 KiB of UTF-8 that ends between characters."""
    if len(text) <= _SURELY_SHORT:
        return text
    encoded = text.encode()
    return text if len(encoded) <= MAX_TEXT_BYTES else encoded[:MAX_TEXT_BYTES].decode(errors="ignore")


@lru_cache(maxsize=4096)  # a catalogue has few names and many messages
def _checked(name: str) -> str:
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise WireError(
            "field.name_invalid",
            f"the attribute name {shown(name)}: use 1 to {MAX_NAME} printable characters",
        )
    return name


class _Flattening:
    """Attributes found so far, and the names of those that were cut."""

    __slots__ = ("cut", "values")

    def __init__(self) -> None:
        self.values: dict[str, FieldValue] = {}
        self.cut: list[str] = []

    def add(self, prefix: str, source: Mapping[str, Any]) -> None:
        for key, value in source.items():
            name = prefix + _checked(key)
            kind = type(value)
            if kind is str:
                self.values[name] = value if len(value) <= _SURELY_SHORT else self._cut(name, value)
            elif kind is dict:
                self.add(f"{name}.", value)
            elif kind is list:
                self._add_list(name, value)
            else:
                self.values[name] = value

    def _add_list(self, name: str, items: list[Any]) -> None:
        columns: dict[str, list[Any]] = {} if items else {name: []}
        _collect(name, items, columns)
        for column, entries in columns.items():
            self.values[column] = tuple(
                self._cut(column, entry) if type(entry) is str else entry for entry in entries
            )

    def _cut(self, name: str, text: str) -> str:
        kept = cut_text(text)
        if len(kept) < len(text):
            self.cut.append(name)
        return kept


def _collect(name: str, items: list[Any], columns: dict[str, list[Any]]) -> None:
    """Gather the scalars of a list by name: those of its objects under dotted names, no nulls."""
    for item in items:
        if type(item) is dict:
            for key, value in item.items():
                _collect(f"{name}.{_checked(key)}", value if type(value) is list else [value], columns)
        elif type(item) is list:
            _collect(name, item, columns)
        elif item is not None:
            columns.setdefault(name, []).append(item)
