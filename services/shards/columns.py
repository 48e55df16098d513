"""Attributes as columns: of each attribute and kind of value, who has which. A filter is a mask.

A column never changes: a batch puts others in its place, and whoever searches keeps those of the beginning.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.base import FieldValue, Scalar
from schemas.filters import Filter, RangeFilter, TermFilter
from services.shards.domain.bitmap import Mask
from services.shards.domain.filters import FLAG, NUMBER, STRING, filterable, kind, scalars, text_key, within

ColumnName = tuple[str, str]
"""An attribute, and the letter of a kind of value."""
DTYPES = {NUMBER: np.dtype("<f8"), STRING: np.dtype("<u8"), FLAG: np.dtype(np.bool_)}
COMPARISONS: Mapping[str, Any] = {  # Any: ufuncs
    "gte": np.greater_equal,
    "gt": np.greater,
    "lte": np.less_equal,
    "lt": np.less,
}
FieldsOf = Callable[[int], Mapping[str, FieldValue]]
"""Reads a product's attributes, by place."""


class Column(NamedTuple):
    """Values of one kind, numbers as they are and texts as their keys, with the places that have them.

    Places ascend; one that has a list of values is there as often.
    """

    places: NDArray[np.uint32]
    values: NDArray[Any]  # Any: of the kind's type
    whole: bool = False
    """The places are the first ones, each with one value: `values[place]` is it."""


class Values(NamedTuple):
    """What products at ascending places have in one column."""

    places: list[int]
    values: list[Any]  # Any: as a column's


Columns = Mapping[ColumnName, Column]
Batch = dict[ColumnName, Values]


def gathered(products: Sequence[tuple[int, Mapping[str, FieldValue]]]) -> Batch:
    """Return the filterable values of these products, whose places ascend, by column."""
    batch: Batch = {}
    for place, fields in products:
        for name, value in fields.items():
            for scalar in scalars(value):
                if filterable(scalar):
                    column = (name, kind(scalar))
                    entries = batch.get(column)
                    if entries is None:
                        entries = batch[column] = Values([], [])
                    entries.places.append(place)
                    entries.values.append(text_key(scalar) if isinstance(scalar, str) else scalar)
    return batch


def column_of(name: ColumnName, entries: Values) -> Column:
    """Return the values of a batch as a column."""
    return Column(np.array(entries.places, np.uint32), np.array(entries.values, DTYPES[name[1]]))


def extended(columns: Columns, batch: Batch) -> dict[ColumnName, Column]:
    """Return the columns with products behind those that they have."""
    after = dict(columns)
    for name, entries in batch.items():
        more, before = column_of(name, entries), after.get(name)
        if before is not None:
            more = _concatenated([before, more])
        after[name] = _with_form(more)
    return after


def overwritten(
    columns: Columns, names: Mapping[str, Sequence[int]], batch: Batch
) -> dict[ColumnName, Column]:
    """Return the columns with other values of some attributes: of each name, at which places (ascending)."""
    after = dict(columns)
    for name, places in names.items():
        for letter in DTYPES:
            column, entries = after.get((name, letter)), batch.get((name, letter))
            if column is None and entries is None:
                continue
            new = column_of((name, letter), entries or Values([], []))
            changed = _changed(column or _nothing(letter), np.array(places, np.uint32), new)
            if changed.places.size:
                after[name, letter] = changed
            else:
                after.pop((name, letter), None)
    return after


def remapped(parts: Sequence[Columns], places: Sequence[NDArray[np.int64]]) -> Columns:
    """Return the columns of several parts as one; `places[i]` gives part i's places their new ones, or -1."""
    together: dict[ColumnName, list[Column]] = {}
    for part, new in zip(parts, places, strict=True):
        for name, column in part.items():
            moved = new[column.places]
            kept = moved >= 0
            together.setdefault(name, []).append(Column(moved[kept].astype(np.uint32), column.values[kept]))
    joined = {name: _concatenated(pieces) for name, pieces in together.items()}
    return {name: _with_form(column) for name, column in joined.items() if column.places.size}


def mask(condition: Filter, columns: Columns, size: int, *, fields_of: FieldsOf) -> Mask:
    """Return which of `size` places pass the filter; `fields_of` reads texts, of which columns have keys."""
    passed = np.zeros(size, np.bool_)
    for letter, chosen in _chosen(condition, columns, fields_of):
        column = columns[condition.field, letter]
        if column.whole:
            passed[: len(chosen)] |= chosen
        else:
            passed[column.places[chosen]] = True
    return passed


def kinds_at(name: str, columns: Columns, live: Mask) -> Iterator[str]:
    """Yield the kinds of value that a live product has of an attribute."""
    for letter in DTYPES:
        column = columns.get((name, letter))
        if column is not None and bool(live[column.places].any()):
            yield letter


def _chosen(condition: Filter, columns: Columns, fields_of: FieldsOf) -> Iterator[tuple[str, Mask]]:
    """Yield which entries of which column the filter wants."""
    if isinstance(condition, RangeFilter):
        bounds = dict(condition.bounds())
        letter = kind(next(iter(bounds.values())))
        column = columns.get((condition.field, letter))
        if column is not None:
            yield (
                letter,
                _texts_within(condition, column, fields_of) if letter == STRING else _within(column, bounds),
            )
        return
    wanted = (condition.value,) if isinstance(condition, TermFilter) else condition.values
    by_kind: dict[str, list[Scalar]] = {}
    for value in wanted:
        if filterable(value):
            by_kind.setdefault(kind(value), []).append(text_key(value) if isinstance(value, str) else value)
    for letter, values in by_kind.items():
        column = columns.get((condition.field, letter))
        if column is not None:
            among = np.array(values, column.values.dtype)
            yield letter, column.values == among[0] if len(values) == 1 else np.isin(column.values, among)


def _within(column: Column, bounds: Mapping[str, Scalar]) -> Mask:
    chosen = np.ones(len(column.values), np.bool_)
    for name, bound in bounds.items():
        chosen &= COMPARISONS[name](column.values, float(bound))
    return chosen


def _texts_within(condition: RangeFilter, column: Column, fields_of: FieldsOf) -> Mask:
    """Compare each different text once, as it stands in the first product that has it."""
    keys, first, numbers = np.unique(column.values, return_index=True, return_inverse=True)
    fitting = set[int]()
    for place in np.unique(column.places[first]).tolist():
        texts = (value for value in scalars(fields_of(place).get(condition.field)) if isinstance(value, str))
        fitting.update(text_key(text) for text in texts if filterable(text) and within(condition, text))
    wanted: Mask = np.isin(keys, np.array(sorted(fitting), np.uint64))[numbers]
    return wanted


def _changed(column: Column, places: NDArray[np.uint32], new: Column) -> Column:
    """Return the column without the values at these places, and with new ones."""
    if column.whole and places[-1] < len(column.values) and np.array_equal(new.places, places):
        values = column.values.copy()
        values[places] = new.values
        return Column(column.places, values, whole=True)
    kept = ~np.isin(column.places, places)
    all_places = np.concatenate([column.places[kept], new.places])
    order = np.argsort(all_places, kind="stable")
    return Column(all_places[order], np.concatenate([column.values[kept], new.values])[order])


def _concatenated(pieces: Sequence[Column]) -> Column:
    places = np.concatenate([column.places for column in pieces])
    return Column(places, np.concatenate([column.values for column in pieces]))


def _nothing(letter: str) -> Column:
    return Column(np.empty(0, np.uint32), np.empty(0, DTYPES[letter]))


def _with_form(column: Column) -> Column:
    """Return the column, and whether it is whole."""
    count = len(column.places)
    whole = not count or (int(column.places[0]) == 0 and int(column.places[-1]) == count - 1)
    return column._replace(whole=whole and bool((np.diff(column.places) == 1).all()))
