"""Attribute filters: what they mean, and the keys that stand for texts where they are compared.

Numbers compare as IEEE doubles, strings by code point, booleans only by equality; a list matches when one
of its values does. Strings longer than `MAX_TEXT_CHARACTERS` are not filterable (they are text).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

from schemas.base import FieldValue, Scalar
from schemas.filters import Filter, RangeFilter, TermFilter

MAX_TEXT_CHARACTERS = 256
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


def filterable(value: Scalar) -> bool:
    """Say whether filters see it."""
    return not isinstance(value, str) or len(value) <= MAX_TEXT_CHARACTERS


@lru_cache(maxsize=1 << 16)  # most texts of a product are those of other products, or of before
def text_key(text: str) -> int:
    """Return the 64-bit number that stands for a text: equal texts have equal ones, and only they."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def matches(condition: Filter, fields: Mapping[str, FieldValue]) -> bool:
    """Say whether a product with these attributes passes; the meaning that the index must agree with."""
    values = [value for value in scalars(fields.get(condition.field)) if filterable(value)]
    if isinstance(condition, RangeFilter):
        return any(within(condition, value) for value in values)
    wanted = (condition.value,) if isinstance(condition, TermFilter) else condition.values
    return any(_equal(value, other) for value in values for other in wanted)


def excluded_by(filters: Sequence[Filter], fields: Mapping[str, FieldValue]) -> list[Filter]:
    """Return the filters that this product does not pass."""
    return [condition for condition in filters if not matches(condition, fields)]


def within(condition: RangeFilter, value: Scalar) -> bool:
    """Say whether a value lies within the bounds; one of another kind does not."""
    return all(
        filterable(bound) and kind(bound) == kind(value) and _compares(name, value, bound)
        for name, bound in condition.bounds()
    )


def _equal(value: Scalar, other: Scalar) -> bool:
    if kind(value) != kind(other):
        return False
    return float(value) == float(other) if kind(value) == NUMBER else value == other


def _compares(name: str, value: Scalar, bound: Scalar) -> bool:
    """Compare two values of one kind; the order of Python's strings is that of their code points."""
    left, right = (value, bound) if name in {"gte", "gt"} else (bound, value)
    if isinstance(left, str) or isinstance(right, str):
        return str(left) > str(right) or (name in {"gte", "lte"} and left == right)
    return float(left) > float(right) or (name in {"gte", "lte"} and float(left) == float(right))
