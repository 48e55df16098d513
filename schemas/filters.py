"""Conditions on a product's attributes, as the search API takes them and the shards are asked them.

What they mean (numbers compare as IEEE doubles, strings by code point, booleans only by equality, a list
matches when one of its values does) is decided by the shards.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from schemas.base import Scalar, Value

MAX_FILTERS = 32
MAX_VALUES = 1000
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
BOUNDS = ("gte", "gt", "lte", "lt")


def _is_text(value: Scalar) -> Scalar:
    """Refuse half a character: JSON can say one, a lone surrogate, and nothing can be sent on that has it."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("a text with a lone surrogate is no text") from None
    return value


def _quoted(name: object) -> str:
    return str(name).encode(errors="backslashreplace").decode()


Comparable = Annotated[Scalar, AfterValidator(_is_text)]


class _Condition(Value):
    """A name that does not exist is refused, so that a typing error is noticed."""

    model_config = ConfigDict(extra="forbid")

    takes: ClassVar[tuple[str, ...]]
    field: FieldName

    @model_validator(mode="before")
    @classmethod
    def _has_what_its_operation_needs(cls, given: Any) -> Any:  # Any: pydantic judges the rest
        if isinstance(given, Mapping):
            needed = ", ".join(f"`{name}`" for name in cls.takes)
            one_of = "one of " if len(cls.takes) > 1 else ""
            if all(given.get(name) is None for name in cls.takes):
                raise ValueError(f"the filter `{given.get('op')}` needs {one_of}{needed}")
            if more := sorted(_quoted(name) for name in given.keys() - {"op", "field", *cls.takes}):
                raise ValueError(
                    f"the filter `{given.get('op')}` takes only {needed}, not `{'`, `'.join(more)}`"
                )
        return given


class TermFilter(_Condition):
    """The attribute has this value."""

    takes = ("value",)

    op: Literal["term"]
    value: Comparable


class InFilter(_Condition):
    """The attribute has one of these values."""

    takes = ("values",)

    op: Literal["in"]
    values: Annotated[tuple[Comparable, ...], Field(max_length=MAX_VALUES)]


def _is_none(bound: object) -> bool:
    return bound is None


Bound = Annotated[Comparable | None, Field(exclude_if=_is_none)]


class RangeFilter(_Condition):
    """The attribute lies between bounds, which are all numbers or all strings."""

    takes = BOUNDS

    op: Literal["range"]
    gte: Bound = None
    gt: Bound = None
    lte: Bound = None
    lt: Bound = None

    @model_validator(mode="after")
    def _bounds_are_of_one_kind(self) -> Self:
        bounds = [bound for _, bound in self.bounds()]
        if len({isinstance(bound, str) for bound in bounds}) > 1 or any(isinstance(b, bool) for b in bounds):
            raise ValueError("the bounds of a range are all numbers or all strings")
        return self

    def bounds(self) -> Iterator[tuple[str, Scalar]]:
        """Give the bounds that are set, by name."""
        for name in BOUNDS:
            bound: Scalar | None = getattr(self, name)
            if bound is not None:
                yield name, bound


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


Filter = Annotated[TermFilter | InFilter | RangeFilter, Field(discriminator="op")]
