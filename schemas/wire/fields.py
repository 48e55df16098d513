"""Attributes as they come, to attributes as Headrace keeps them: flat, scalar, bounded.

What cannot be kept is left out and said so; the rest of the message counts.
"""

from collections.abc import Mapping
from functools import lru_cache
from math import isfinite
from typing import Any, NamedTuple

from schemas.base import MAX_ATTRIBUTES, MAX_DEPTH, MAX_TEXT_BYTES, FieldValue
from schemas.wire.errors import LeftOut, WireError, shown
from schemas.wire.strict_json import HIGHEST_INTEGER, LOWEST_INTEGER, refused_number, too_deep

MAX_NAME = 256
FIRST = frozenset({"title", "name", "description", "brand", "category", "price", "currency", "availability"})
"""What a product is searched by under nearly every name that shops use: kept before all other attributes."""

SURELY_SHORT = MAX_TEXT_BYTES // 4
"""Letters of a text that has no more than `MAX_TEXT_BYTES`, whatever they are."""
_NESTED = (dict, list)


class Fields(NamedTuple):
    """Flat attributes, and what became of the others.

    `cut` names texts shortened to 32 KiB. `replaces` names what came as an object, or as a list of objects:
    as a patch it takes away every `name.*` that it does not write.
    """

    values: dict[str, FieldValue]
    cut: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


NONE = Fields({})


def read_fields(source: object) -> Fields:
    """Flatten nested objects to dotted names, keep lists of scalars, cut long text, keep 100 of them.

    `{"brand": {"name": "A"}}` is `brand.name`; a list of objects gives one list a name, as in a search
    engine: `{"sizes": [{"eu": 40}, {"eu": 41}]}` is `sizes.eu: [40, 41]`. Nulls in lists are dropped. Of more
    than 100 attributes the first are kept: those of `FIRST`, then those with the fewest dots in their name,
    then in the order of the message.
    """
    if type(source) is not dict:
        raise WireError(
            "fields.invalid", f"the attributes are {shown(source)}: send an object of name: value"
        )
    flattening = _Flattening()
    flattening.add("", source, 1)
    if len(flattening.values) > MAX_ATTRIBUTES:
        flattening.shorten()
    return flattening.result(source)


def cut_text(text: str) -> str:
    """Return the text, or its longest start of at most 32 KiB of UTF-8 that ends between characters."""
    if len(text) <= SURELY_SHORT:
        return text
    encoded = text.encode()
    return text if len(encoded) <= MAX_TEXT_BYTES else encoded[:MAX_TEXT_BYTES].decode(errors="ignore")


@lru_cache(maxsize=4096)  # a catalogue has few names and many messages
def checked_name(name: str) -> str:
    """Return the name of an attribute; raises `WireError`."""
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise WireError(
            "field.name_invalid",
            f"the attribute name {shown(name)}: use 1 to {MAX_NAME} printable characters",
        )
    return name


class _Flattening:
    """Attributes so far, the names of those that were cut, and those left out."""

    __slots__ = ("cut", "left_out", "values")

    def __init__(self) -> None:
        self.values: dict[str, FieldValue] = {}
        self.cut: list[str] = []
        self.left_out: dict[str, LeftOut] = {}

    def add(self, prefix: str, source: Mapping[str, Any], depth: int) -> None:
        for key, value in source.items():
            kind = type(value)
            name = prefix + key
            try:
                checked_name(key)
                if kind is str:
                    self.values[name] = value if len(value) <= SURELY_SHORT else self._cut(name, value)
                elif kind is dict:
                    _check_depth(depth)
                    self.add(f"{name}.", value, depth + 1)
                elif kind is list:
                    self._add_list(name, value, depth)
                elif kind is bool or value is None:
                    self.values[name] = value
                else:
                    self.values[name] = _readable(name, value)
            except WireError as error:
                self._leave_out(name, error)

    def shorten(self) -> None:
        """Keep the first 100 attributes."""
        ranked = sorted(self.values, key=lambda name: (name not in FIRST, name.count(".")))
        for name in ranked[MAX_ATTRIBUTES:]:
            del self.values[name]
            self._leave_out(
                name,
                WireError("field.too_many", f"a product keeps {MAX_ATTRIBUTES} attributes: send fewer"),
            )

    def result(self, source: Mapping[str, Any]) -> Fields:
        values, left_out = self.values, self.left_out
        replaced = [
            name
            for name, value in source.items()
            if name not in values and name not in left_out and type(value) in _NESTED
        ]
        cut = tuple(name for name in self.cut if name in values) if self.cut else ()
        return Fields(values, cut, tuple(replaced), tuple(left_out.values()))

    def _add_list(self, name: str, items: list[Any], depth: int) -> None:
        columns: dict[str, list[Any]] = {} if items else {name: []}
        self._collect(name, items, columns, depth=depth)
        for column, entries in columns.items():
            try:
                self.values[column] = tuple(
                    self._cut(column, entry) if type(entry) is str else _readable(column, entry)
                    for entry in entries
                )
            except WireError as error:
                self._leave_out(column, error)

    def _collect(self, name: str, items: list[Any], columns: dict[str, list[Any]], *, depth: int) -> None:
        """Gather the scalars of a list by name: those of its objects under dotted names, no nulls."""
        _check_depth(depth)
        for item in items:
            if type(item) is dict:
                for key, value in item.items():
                    self._collect_one(f"{name}.{key}", key, value, columns=columns, depth=depth)
            elif type(item) is list:
                self._collect(name, item, columns, depth=depth + 1)
            elif item is not None:
                columns.setdefault(name, []).append(item)

    def _collect_one(
        self, name: str, key: str, value: Any, *, columns: dict[str, list[Any]], depth: int
    ) -> None:
        try:
            checked_name(key)
            self._collect(name, value if type(value) is list else [value], columns, depth=depth + 1)
        except WireError as error:
            self._leave_out(name, error)

    def _cut(self, name: str, text: str) -> str:
        kept = cut_text(text)
        if len(kept) < len(text):
            self.cut.append(name)
        return kept

    def _leave_out(self, name: str, error: WireError) -> None:
        self.left_out[name] = error.leaving_out(name)


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise too_deep()


def _readable(name: str, value: Any) -> Any:  # Any: a scalar of JSON
    """Return a number, boolean or null; raises `WireError` for a number out of bounds."""
    if (type(value) is float and not isfinite(value)) or (
        type(value) is int and not LOWEST_INTEGER <= value <= HIGHEST_INTEGER
    ):
        raise refused_number(name, value)
    return value
