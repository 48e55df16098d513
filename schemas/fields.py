"""Attributes of the products of an index: what filters are written about.

Answers of the search API (`GET /fields`) and, a partition each, of the shards; as there every key is on the
wire.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from schemas.base import GenerationName, Scalar, Score, Value

MOST_FIELDS = 1000
"""That an answer names: those that are filled most often."""
Count = Annotated[int, Field(ge=0)]
FieldKind = Literal["number", "text", "boolean"]
"""What a value is to a filter: values of two kinds are never equal, and never compared."""


def kind_of(value: Scalar) -> FieldKind:
    """Return which of the kinds a value is; a truth value is no number."""
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


class _Answer(Value):
    model_config = ConfigDict(use_attribute_docstrings=True)


class FieldSummary(_Answer):
    """One attribute of the products: how often it is filled, with what, and whether a filter can use it."""

    name: str
    products: Count
    """That have a value of it."""
    kinds: Mapping[FieldKind, Count]
    """Products with values that a filter can use, by kind; a product with two kinds counts in both."""
    least: Score | None
    """Of its numbers; null: it has none."""
    greatest: Score | None
    examples: tuple[str, ...]
    """Some of its texts that a filter can use, often seen ones first."""
    too_long: Count
    """Products with a text of more than 256 characters: it is searched, and no filter can use it."""


class FieldsResponse(_Answer):
    """What `GET /fields` answers: every attribute that a product has, by name."""

    generation: GenerationName
    partial: bool
    """Whether a partition is missing, whose products are not counted."""
    documents: Count
    fields: tuple[FieldSummary, ...]
    unnamed: Count
    """So many more there are at least; the ones that are named are filled more often."""
