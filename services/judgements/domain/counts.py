"""What is counted of a (query, product): a ring of day buckets, kept as the fields of one hash.

Field names, in Redis as in memory:

    20778#3         impressions on day 20778 (since 1970) at position 3
    20778:click     clicks on that day
    s:9f86d081...   a shopper who did something, and the last day on which

A window is the sum of its live days. Distinct shoppers are exact and roll too: a shopper acted in the
window when the last day is in it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from services.judgements.domain.rules import IMPRESSION

SHOPPER = "s:"
DIGITS = 5


class QueryProduct(NamedTuple):
    """What is judged."""

    query: str
    product_id: str


def first_day(today: int, window_days: int) -> int:
    """Return the first of `window_days` live days that end today; later ones (clock skew) are live too."""
    return today - window_days + 1


@lru_cache(maxsize=4096)
def impression_field(day: int, position: int) -> str:
    """Return the field of impressions at a position."""
    return f"{day:05d}#{position}"


@lru_cache(maxsize=4096)
def action_field(day: int, action: str) -> str:
    """Return the field of an action."""
    return f"{day:05d}:{action}"


@dataclass(slots=True)
class PairCounts:
    """One pair's counts in a window."""

    impressions: dict[int, int] = field(default_factory=dict)
    """By position."""
    actions: dict[str, int] = field(default_factory=dict)
    shoppers: int = 0
    searches: int = 0
    """How often the query was answered, whatever was shown."""

    @property
    def empty(self) -> bool:
        """Whether nothing is left in the window."""
        return not self.impressions and not self.actions

    @classmethod
    def of(cls, fields: Mapping[str, int], first: int, searches: int = 0) -> "PairCounts":
        """Sum the live days."""
        counts = cls(searches=searches)
        for name, number in fields.items():
            if name.startswith(SHOPPER):
                counts.shoppers += number >= first
            elif int(name[:DIGITS]) >= first:
                counts._add(name[DIGITS], name[DIGITS + 1 :], number)
        return counts

    def _add(self, kind: str, what: str, number: int) -> None:
        if kind == "#":
            self.impressions[int(what)] = self.impressions.get(int(what), 0) + number
        else:
            self.actions[what] = self.actions.get(what, 0) + number


@dataclass(slots=True)
class Totals:
    """All pairs' outcomes by position, in a window: what a position alone is worth."""

    impressions: Counter[int] = field(default_factory=Counter)
    actions: dict[str, Counter[int]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many impressions and actions there are."""
        return self.impressions.total() + sum(counter.total() for counter in self.actions.values())

    def merge(self, other: "Totals") -> None:
        """Add what other pairs got."""
        self.impressions.update(other.impressions)
        for action, counter in other.actions.items():
            self.actions.setdefault(action, Counter()).update(counter)

    def add(self, name: str, number: int) -> None:
        """Add a field `action:position`."""
        action, _, position = name.rpartition(":")
        counter = self.impressions if action == IMPRESSION else self.actions.setdefault(action, Counter())
        counter[int(position)] += number


@dataclass(slots=True)
class OutcomeTally:
    """Outcomes on their way into the counts; adding is commutative and associative."""

    pairs: dict[QueryProduct, dict[str, int]] = field(default_factory=dict)
    shoppers: dict[QueryProduct, dict[str, int]] = field(default_factory=dict)
    totals: dict[int, dict[str, int]] = field(default_factory=dict)
    """day -> `action:position` -> number"""
    searches: dict[str, dict[int, int]] = field(default_factory=dict)
    """query -> day -> answers, that is, impressions at the first position"""

    def add(
        self, query: str, items: Iterable[tuple[str, int]], *, action: str, shopper: str, day: int
    ) -> None:
        """Count one outcome."""
        totals = self.totals.setdefault(day, {})
        shown = action == IMPRESSION
        name = action_field(day, action)
        for product_id, position in items:
            pair = QueryProduct(query, product_id)
            fields = self.pairs.get(pair)
            if fields is None:
                fields = self.pairs[pair] = {}
            bucket = impression_field(day, position) if shown else name
            fields[bucket] = fields.get(bucket, 0) + 1
            total = f"{action}:{position}"
            totals[total] = totals.get(total, 0) + 1
            if shown and position == 1:
                days = self.searches.setdefault(query, {})
                days[day] = days.get(day, 0) + 1
            if shopper and not shown:
                last = self.shoppers.setdefault(pair, {})
                last[SHOPPER + shopper] = max(day, last.get(SHOPPER + shopper, 0))

    def window(self, first: int) -> dict[QueryProduct, PairCounts]:
        """Return the pairs that are not empty in the window that begins on day `first`."""
        searches = self._searches(first)
        counts = {
            pair: PairCounts.of({**fields, **self.shoppers.get(pair, {})}, first, searches.get(pair.query, 0))
            for pair, fields in self.pairs.items()
        }
        return {pair: count for pair, count in counts.items() if not count.empty}

    def _searches(self, first: int) -> dict[str, int]:
        return {
            query: sum(number for day, number in days.items() if day >= first)
            for query, days in self.searches.items()
        }

    def window_totals(self, first: int) -> Totals:
        """Return the outcomes by position in the window that begins on day `first`."""
        totals = Totals()
        for day, fields in self.totals.items():
            for name, number in fields.items() if day >= first else ():
                totals.add(name, number)
        return totals
