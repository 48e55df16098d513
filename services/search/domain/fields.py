"""Attributes by name: those of all partitions as one list, and filters on what no product has."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import chain, zip_longest

from schemas.base import Scalar
from schemas.fields import MOST_FIELDS, FieldKind, FieldSummary, kind_of
from schemas.filters import Filter, RangeFilter, TermFilter
from schemas.shard_api import PartitionFields
from services.search.domain.candidate import ShardAnswer

EXAMPLES = 5
WORDS: Mapping[FieldKind, str] = {"number": "a number", "text": "text", "boolean": "true or false"}


def gathered(partitions: Sequence[PartitionFields]) -> tuple[tuple[FieldSummary, ...], int]:
    """Return the attributes of all these partitions, by name, and how many at least are not named."""
    by_name: dict[str, list[FieldSummary]] = {}
    for partition in partitions:
        for summary in partition.fields:
            by_name.setdefault(summary.name, []).append(summary)
    sums = sorted(map(_sum, by_name.values()), key=lambda summary: (-summary.products, summary.name))
    named, left = sums[:MOST_FIELDS], len(sums[MOST_FIELDS:])
    unnamed = max((partition.unnamed for partition in partitions), default=0)
    return tuple(sorted(named, key=lambda summary: summary.name)), max(left, unnamed)


def _sum(parts: Sequence[FieldSummary]) -> FieldSummary:
    kinds: Counter[FieldKind] = Counter()
    for part in parts:
        kinds.update(part.kinds)
    in_turn = chain.from_iterable(zip_longest(*(part.examples for part in parts)))
    examples = dict.fromkeys(text for text in in_turn if text is not None)
    return FieldSummary(
        name=parts[0].name,
        products=sum(part.products for part in parts),
        kinds=dict(sorted(kinds.items())),
        least=min((part.least for part in parts if part.least is not None), default=None),
        greatest=max((part.greatest for part in parts if part.greatest is not None), default=None),
        examples=tuple(examples)[:EXAMPLES],
        too_long=sum(part.too_long for part in parts),
    )


def impossible(filters: Sequence[Filter], answers: Sequence[ShardAnswer]) -> list[Filter]:
    """Return the filters that no product could pass, whatever their values: none has such a field.

    None of them where a product passed, where a partition is missing, and where there are no products: then
    nobody knows what fields there are.
    """
    if any(answer.kinds is None for answer in answers) or not any(answer.documents for answer in answers):
        return []
    existing: dict[str, set[FieldKind]] = {}
    for answer in answers:
        for name, kinds in (answer.kinds or {}).items():
            existing.setdefault(name, set()).update(kinds)
    return [one for one in filters if not _possible(one, existing.get(one.field, set()))]


def _possible(condition: Filter, existing: set[FieldKind]) -> bool:
    wanted = _kinds(condition)
    return bool(existing & wanted if wanted else existing)


def explained(condition: Filter, fields: Sequence[FieldSummary]) -> str:
    """Return what is wrong with such a filter, and which field was perhaps meant."""
    name, by_name = condition.field, {summary.name: summary for summary in fields}
    summary = by_name.get(name)
    if summary is None:
        near = get_close_matches(name, by_name, n=1) or _of_another_case(name, by_name)
        meant = f": did you mean `{near[0]}`?" if near else ""
        return f"no product has the field `{name}`{meant}"
    if not summary.kinds:
        return f"`{name}` has texts of more than 256 characters only, which no filter can use"
    is_, asked = (_listed(kinds) for kinds in (summary.kinds, _kinds(condition)))
    return f"`{name}` is {is_} in every product that has it, and the filter compares it with {asked}"


def _of_another_case(name: str, names: Iterable[str]) -> list[str]:
    return [known for known in names if known.casefold() == name.casefold()]


def _listed(kinds: Iterable[FieldKind]) -> str:
    return " or ".join(WORDS[kind] for kind in sorted(kinds))


def _kinds(condition: Filter) -> set[FieldKind]:
    return {kind_of(value) for value in _values(condition)}


def _values(condition: Filter) -> Iterator[Scalar]:
    if isinstance(condition, RangeFilter):
        yield from (bound for _, bound in condition.bounds())
    elif isinstance(condition, TermFilter):
        yield condition.value
    else:
        yield from condition.values
