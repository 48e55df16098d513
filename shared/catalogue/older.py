"""Changes that were older than what was known of their product: which, and whether their line caught up.

A change that is older than what is known changes nothing, as it should when messages come in disorder. But a
producer whose versions went back (a database that was restored) sends nothing else, and nobody would see its
products stand still. So they are remembered, by line of versions and product, until a change of the same line
comes that is not older: a connector that repeats itself after a restart ends with what is known.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import orjson

from schemas.base import Coordinates
from schemas.catalogue import StampedChange
from shared.catalogue.writes import Outcome

OLDER = "older"
"""How the key is called that holds them, beside the documents of a home."""
MOST = 1000
"""Products that are remembered in each home: enough to be told, whatever a producer does."""
SEPARATOR = "\t"
QUIET = timedelta(hours=1)
"""What came longer ago than this before has nothing to do with what comes now."""


class OlderChanges(NamedTuple):
    """The changes of one product that were older than what is known, all of one line of versions."""

    number: int
    moment: str
    """When the last of them was read, in ISO 8601."""
    example: str
    """Where the last of them lies."""
    since: int = 0
    """When the first of them was appended, in milliseconds since 1970; 0: an earlier version did not say."""


class MergedChange(msgspec.Struct, frozen=True, gc=False):
    """A change, where it lies, and what it made of its product."""

    source: Coordinates
    change: StampedChange
    outcome: Outcome


class OlderUpdate(NamedTuple):
    """What a batch changes in what is remembered, by name."""

    put: Mapping[str, str]
    removed: Sequence[str]

    def applied_to(self, known: Mapping[str, str]) -> Mapping[str, str]:
        """Return what is known after it."""
        if not self.put and not self.removed:
            return known
        return {name: packed for name, packed in {**known, **self.put}.items() if name not in self.removed}


def update(known: Mapping[str, str], merged: Iterable[MergedChange], now: datetime) -> OlderUpdate:
    """Return what a batch changes in what is `known`, which may be more than is remembered at most."""
    put: dict[str, str] = {}
    removed: set[str] = set()
    for one in merged:
        name = f"{one.change.stamp.line}{SEPARATOR}{one.change.product_id}"
        if one.outcome == "older":
            packed = None if name in removed else put.get(name) or known.get(name)
            if packed is None and len(known) + len(put) >= MOST:
                continue
            before = OlderChanges(*orjson.loads(packed)) if packed else None
            put[name] = orjson.dumps(tuple(_one_more(before, one, now))).decode()
            removed.discard(name)
        elif name in put or name in known:
            put.pop(name, None)
            removed.add(name)
    return OlderUpdate(put, sorted(removed & known.keys()))


def _one_more(before: OlderChanges | None, one: MergedChange, now: datetime) -> OlderChanges:
    if before is None or now - datetime.fromisoformat(before.moment) > QUIET:
        before = OlderChanges(0, "", "", one.change.stamp.appended.milliseconds)
    return OlderChanges(before.number + 1, now.isoformat(), _place(one.source), before.since)


def line_of(name: str) -> str:
    """Return the line of versions of what is remembered under that name."""
    return name.rpartition(SEPARATOR)[0]


NOTHING_OLDER = OlderUpdate({}, ())


def _place(source: Coordinates) -> str:
    return f"{source.topic}-{source.partition} @ {source.offset}"
