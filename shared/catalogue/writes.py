"""The set of a product's writes that still count: what a new one takes out of it, and what it leaves."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from schemas.base import FieldValue
from schemas.catalogue import LEGACY, Appended, Operation
from schemas.wire.stamps import ENVELOPED, TOMBSTONE

MOST_TIES = 16
"""Changes of one version that say different things are all remembered, up to so many: the last appended."""

Outcome = Literal["applied", "repeated", "older"]


class ProductWrite(NamedTuple):
    """A revision with all of its own values."""

    line: str
    version: tuple[int, ...]
    appended: Appended
    digest: str
    partial: bool
    timeline: int
    op: Operation
    fields: Mapping[str, FieldValue]
    replaces: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def rank(self) -> tuple[int, tuple[int, ...]]:
        """What orders the changes of one line, but for ties: of a later timeline each is higher."""
        return self.timeline, self.version

    @property
    def whole(self) -> bool:
        """Whether it says what the whole product is, or that it is gone."""
        return self.op != "patch"

    @property
    def part(self) -> str:
        """The table whose rows are a part of the product; "" for what writes the product itself."""
        return self.line.rpartition("/")[2] if self.partial else ""

    def covers(self, name: str) -> bool:
        """Whether it, a patch, says what the field is, or that it is not."""
        return is_within(name, self.fields) or is_within(name, self.replaces)


YIELDING: Mapping[str, Callable[[ProductWrite], bool]] = {
    TOMBSTONE: lambda write: write.line.startswith(ENVELOPED),
    LEGACY: lambda write: write.whole and not write.partial and write.line != LEGACY,
}
"""Lines that count only while no such write is known: the tombstone that Debezium sends behind its delete,
and what an earlier version merged."""


def insert(writes: list[ProductWrite], new: ProductWrite, *, entire: bool = False) -> Outcome:
    """Add a write to the set, and take out what no longer counts.

    `entire` says that it is as it was written, and not what is left of it in another document.
    """
    if _gives_way(writes, new):
        return "repeated"
    line = [write for write in writes if write.line == new.line]
    known = next((one for one in line if (one.rank, one.digest) == (new.rank, new.digest)), None)
    if known is not None:
        line.remove(known)
        # More of it than is known may be left now: what hid it may be of an earlier timeline by now.
        new = (new if entire else known)._replace(appended=min(known.appended, new.appended))
    elif _says_nothing(new):
        return "repeated"
    left = _left(new, line)
    if left is None or left == known:
        seen_later = any(one.rank > new.rank and one.appended > new.appended for one in line)
        return "repeated" if known is not None or seen_later else "older"
    if known is not None:
        writes.remove(known)
    writes[:] = [rest for write in writes if (rest := _beside(write, left)) is not None]
    writes.append(left)
    _forget_ties(writes, left)
    _settle(writes, left.line)
    return "applied"


def _settle(writes: list[ProductWrite], name: str) -> None:
    """Leave of the writes of a line what they leave of each other, in whatever order they came.

    What a whole write keeps may be named otherwise than it was (`promo.label` of `promo`), and is then again
    covered by a patch that had been looked at before.
    """
    line = [write for write in writes if write.line == name]
    if any(write.kept for write in line):
        settled = [left for write in line if (left := _left(write, line)) is not None]
        writes[:] = [write for write in writes if write.line != name] + settled


def _left(write: ProductWrite, line: Sequence[ProductWrite]) -> ProductWrite | None:
    """Return what all that is higher leaves of a write."""
    left: ProductWrite | None = write
    before = None
    while left is not None and left != before:
        before = left
        for higher in line:
            if left is not None and higher.rank > left.rank:
                left = _without(left, higher)
    return left


def _gives_way(writes: list[ProductWrite], new: ProductWrite) -> bool:
    """Whether a write says nothing beside those that are known; what gives way to it is dropped."""
    for line, counts_more in YIELDING.items():
        if counts_more(new):
            writes[:] = [write for write in writes if write.line != line]
    rule = YIELDING.get(new.line)
    return rule is not None and any(map(rule, writes))


def _beside(write: ProductWrite, new: ProductWrite) -> ProductWrite | None:
    """Return what is left of a write when a new one came."""
    if write.line != new.line or write.rank >= new.rank:
        return write
    return _without(write, new)


def _without(write: ProductWrite, higher: ProductWrite) -> ProductWrite | None:
    """Return what a higher version of the same line leaves of a write; None: nothing."""
    if higher.op == "patch":
        fields = {name: value for name, value in write.fields.items() if not higher.covers(name)}
        replaces = tuple(name for name in write.replaces if not higher.covers(name))
    elif higher.kept:  # a whole write stays, even empty: it hides what is lower
        fields = {name: value for name, value in write.fields.items() if is_within(name, higher.kept)}
        outer = write.replaces if write.whole else (*write.replaces, *(write.fields.keys() - fields.keys()))
        replaces = tuple(sorted({name for wide in outer for name in shared_names(wide, higher.kept)}))
        if write.whole and not fields and set(higher.kept) <= set(write.kept):
            return None
    else:
        return None
    trimmed = write._replace(fields=fields, replaces=replaces)
    return None if _says_nothing(trimmed) else trimmed


def _says_nothing(write: ProductWrite) -> bool:
    """Whether it is a patch of nothing."""
    return not write.whole and not write.fields and not write.replaces


def is_within(name: str, names: Container[str]) -> bool:
    """Whether a field's name is one of these, or nested in one."""
    while name not in names:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return False
    return True


def outer_names(name: str) -> Iterator[str]:
    """Yield the name, and all that it is nested in."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def shared_names(outer: str, names: Sequence[str]) -> list[str]:
    """Return what is nested both in a name and in one of these."""
    if is_within(outer, names):
        return [outer]
    return [name for name in names if is_within(name, (outer,))]


def _forget_ties(writes: list[ProductWrite], new: ProductWrite) -> None:
    ties = [write for write in writes if (write.line, write.rank) == (new.line, new.rank)]
    if len(ties) > MOST_TIES:
        writes.remove(min(ties, key=lambda write: write.appended))
