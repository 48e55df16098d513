"""Attribute filters: what they mean, and the index terms that stand for an attribute's values.

Numbers compare as IEEE doubles, strings by code point, booleans only by equality; a list matches when one
of its values does. Strings longer than `MAX_TERM_CHARACTERS` are not filterable (they are text).
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from schemas.base import FieldValue, Scalar
from schemas.filters import Filter, RangeFilter, TermFilter

MAX_TERM_CHARACTERS = 256
NUMBER, STRING, FLAG = "n", "s", "v"


def kind(value: Scalar) -> str:
    """Return which of the three kinds a scalar is; values of different kinds are never equal."""
    if isinstance(value, bool):
        return FLAG
    return STRING if isinstance(value, str) else NUMBER


def scalars(value: FieldValue) -> tuple[Scalar, ...]:
    """Return the values of an attribute; none for null."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def sortable(number: float) -> str:
    """Return 16 hexadecimal digits that sort as the doubles do (sign and magnitude made monotone)."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", number + 0.0))
    return f"{bits ^ (2**64 - 1) if bits >> 63 else bits | 1 << 63:016x}"


@lru_cache(maxsize=4096)  # a catalogue has few attributes, and each is written with every product
def prefix(field: str) -> str:
    """Return how every term of that attribute starts; hexadecimal, so that no query syntax is in it."""
    return "x" + field.encode().hex()


@lru_cache(maxsize=1 << 16, typed=True)  # most values of a product are those of other products, or of before
def term(field: str, value: Scalar) -> str | None:
    """Return the index term for the attribute having that value; None when it is too long to filter by."""
    if isinstance(value, bool):
        return f"{prefix(field)}{FLAG}{int(value)}"
    if isinstance(value, str):
        if len(value) > MAX_TERM_CHARACTERS:
            return None
        return f"{prefix(field)}{STRING}{value.encode().hex()}"
    return f"{prefix(field)}{NUMBER}{sortable(float(value))}"


def terms(fields: Mapping[str, FieldValue]) -> list[str]:
    """Return all index terms of a product's attributes."""
    index_terms = (term(field, value) for field, values in fields.items() for value in scalars(values))
    return [index_term for index_term in index_terms if index_term is not None]


def matches(condition: Filter, fields: Mapping[str, FieldValue]) -> bool:
    """Say whether a product with these attributes passes; the meaning that the index must agree with."""
    values = scalars(fields.get(condition.field))
    if isinstance(condition, RangeFilter):
        return any(_within(condition, value) for value in values)
    wanted = (condition.value,) if isinstance(condition, TermFilter) else condition.values
    return not _terms(condition.field, wanted).isdisjoint(_terms(condition.field, values))


def excluded_by(filters: Sequence[Filter], fields: Mapping[str, FieldValue]) -> list[Filter]:
    """Return the filters that this product does not pass."""
    return [condition for condition in filters if not matches(condition, fields)]


def _terms(field: str, values: Iterable[Scalar]) -> set[str]:
    return {index_term for index_term in (term(field, value) for value in values) if index_term is not None}


def _within(condition: RangeFilter, value: Scalar) -> bool:
    value_term = term(condition.field, value)
    if value_term is None:
        return False
    for name, bound in condition.bounds():
        limit = term(condition.field, bound)
        if limit is None or kind(bound) != kind(value) or not _compares(name, value_term, limit):
            return False
    return True


def _compares(name: str, value_term: str, limit: str) -> bool:
    if name in {"gte", "gt"}:
        return value_term > limit or (name == "gte" and value_term == limit)
    return value_term < limit or (name == "lte" and value_term == limit)
