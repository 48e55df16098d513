"""A product as the merge of its changes: last writer wins, field by field.

A document is the set of those of its changes that still count (its revisions), and merging is the union of
such sets: commutative, associative, idempotent (a state-based CRDT, Shapiro et al. 2011). So replays and
disorder on the wire change nothing, and what a product is depends on its changes alone, never on the way that
they came.

**Within a line of versions** the higher version counts; of equal versions that say different things, the one
that was appended later. What is of a later timeline is higher, whatever its version (see
`shared.catalogue.acceptances`). The same change appended again is one change, appended when it first was. A
whole write hides what is lower in its line (but for the fields that it keeps), a delete all of it, and a
patch the fields that it writes.

**Between lines** versions say nothing, and what was appended last counts: the last of the lines' whole writes
and deletes is the document's base, and fields of other lines count when they were appended after it (of what
it keeps, after the last whole write of its line that does not keep it). The lines of a part never give the
document's base: they have one of their own, and their fields stand beside it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from schemas.base import MAX_MESSAGE_BYTES, FieldValue
from schemas.catalogue import Appended, Document, Revision, StampedChange
from shared.catalogue.acceptances import Acceptances, timeline_of
from shared.catalogue.writes import (
    YIELDING,
    Outcome,
    ProductWrite,
    insert,
    is_within,
    outer_names,
    shared_names,
)
from shared.errors import PoisonError

EMPTY = Document()


class Merge(NamedTuple):
    """What a change made of a document: itself, when it was known already, or older than what is known."""

    document: Document
    outcome: Outcome


def merge(document: Document, change: StampedChange) -> Merge:
    """Return the document with the change merged in."""
    if (patched := _patched(document, change)) is not None:
        return Merge(patched, "applied")
    writes = _writes(document)
    outcome = insert(writes, _of(change), entire=True)
    return Merge(_document(writes) if outcome == "applied" else document, outcome)


def _patched(document: Document, change: StampedChange) -> Document | None:
    """Return the document with a patch that is the highest of its only line; None: it is anything else.

    Most changes are that, and of the rule below no more is left for them: the patch has its fields, and what
    has none any more goes.
    """
    stamp, revisions = change.stamp, document.revisions
    if change.op != "patch" or change.replaces or not change.fields:
        return None
    if not revisions or stamp.line in YIELDING:
        return None
    last = revisions[-1]
    is_highest = (stamp.timeline, stamp.version) > (last.timeline, last.version)
    if not is_highest or not _is_visible(revisions, stamp.line):
        return None
    written = change.fields
    fields = {**document.fields}
    for name in document.fields:
        if name in written or ("." in name and is_within(name, written)):
            del fields[name]
    owners = {name: place for name, place in document.owners.items() if name in fields}
    owned, base = set(owners.values()), document.base
    # Of one version there may be several whole writes, some of them without a field that is theirs.
    places = [at for at, one in enumerate(revisions) if at in owned or one.op != "patch"]
    if len(places) < len(revisions):
        new = {place: number for number, place in enumerate(places)}
        revisions = tuple([revisions[place] for place in places])
        owners, base = {name: new[place] for name, place in owners.items()}, new.get(base, -1)
    patch = Revision(*stamp, "patch", {}, (), tuple(sorted(change.kept)))
    for name in written:
        owners[name] = len(places)
    return Document({**fields, **written}, (*revisions, patch), base, owners)


def _is_visible(revisions: Sequence[Revision], line: str) -> bool:
    """Whether all are of this line, and say nothing but what is visible."""
    for one in revisions:  # noqa: SIM110 - a generator takes as long again
        if one.fields or one.kept or one.replaces or one.line != line:
            return False
    return True


def admit(document: Document, change: StampedChange) -> Merge:
    """Merge; raises `PoisonError` when patch upon patch made it too large to be written to the bus."""
    merged = merge(document, change)
    if merged.outcome == "applied" and _size(merged.document) > MAX_MESSAGE_BYTES:
        raise PoisonError(
            "document.too_large",
            f"with this change product {change.product_id!r} is larger than {MAX_MESSAGE_BYTES} bytes; "
            "write it whole with fewer or shorter attributes",
        )
    return merged


def absorb(document: Document, other: Document) -> Document:
    """Merge what another copy of the document knows; `document` itself when that is nothing new."""
    writes = _writes(document)
    outcomes = [insert(writes, write) for write in _writes(other)]
    return _document(writes) if "applied" in outcomes else document


def beyond(document: Document, known: Collection[int]) -> Document:
    """Return what the document says beyond those of its revisions that lie at these places.

    Whoever has what those were taken from, and absorbs this, has the document.
    """
    revisions = document.revisions
    if revisions and not _is_visible(revisions, revisions[0].line):
        return _document([write for place, write in enumerate(_writes(document)) if place not in known])
    # Of one line, all that its writes say is visible: so is what some of them say.
    places = [place for place in range(len(revisions)) if place not in known]
    new = {place: number for number, place in enumerate(places)}
    wholes = [new[at] for at in places if revisions[at].op != "patch" and not revisions[at].partial]
    base = max(wholes, default=-1)
    owners = document.owners
    if document.base in new:  # who has the others is not said
        owners = {name: owners.get(name, document.base) for name in document.fields}
    whose = [(name, new[place]) for name, place in owners.items() if place in new]
    return Document(
        {name: document.fields[name] for name, _ in whose},
        tuple([revisions[place] for place in places]),
        base,
        {name: place for name, place in whose if place != base},
    )


def carried(before: Document, known: Collection[int], after: Document) -> frozenset[int]:
    """Return the places in `after` of the revisions of `before` at places `known`, as they were or less."""
    objects = {id(before.revisions[place]) for place in known}
    same = frozenset([place for place, revision in enumerate(after.revisions) if id(revision) in objects])
    if same:  # only patches on top (`_patched`) leave revisions the objects that they were
        return same
    writes = _writes(before)
    former = {_identity(writes[place]): writes[place] for place in known}
    return frozenset(
        place
        for place, write in enumerate(_writes(after))
        if (was := former.get(_identity(write))) is not None
        and write.fields.keys() <= was.fields.keys()
        and set(write.replaces) <= {*was.replaces, *was.fields}
    )


def fields_of(stored: Mapping[str, Any]) -> dict[str, Any]:  # Any: JSON
    """Return attributes that were stored as JSON: what is a list there is a tuple of a document."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}


def on_timelines(document: Document, acceptances: Acceptances) -> Document:
    """Return the document with each change on its timeline; itself when they are."""
    if not acceptances:
        return document
    timelines = [timeline_of(one.line, one.appended, acceptances) for one in document.revisions]
    if all(one.timeline == at for one, at in zip(document.revisions, timelines, strict=True)):
        return document
    writes: list[ProductWrite] = []
    for write, timeline in zip(_writes(document), timelines, strict=True):
        insert(writes, write._replace(timeline=timeline))
    return _document(writes)


def _identity(write: ProductWrite) -> tuple[object, ...]:
    """Return what tells a write from any other."""
    return write.line, write.version, write.appended, write.digest, write.timeline, write.op, write.kept


def _of(change: StampedChange) -> ProductWrite:
    # Names in order: a repetition that has them in another one is the same change.
    replaces, kept = tuple(sorted(change.replaces)), tuple(sorted(change.kept))
    return ProductWrite(*change.stamp, change.op, change.fields, replaces, kept)


class _Claim(NamedTuple):
    """Who says what a field is: of several lines the one that was appended last counts."""

    appended: Appended
    line: str
    place: int


@dataclass(slots=True)
class _Line:
    """A line of versions by itself: its last whole write or delete, and what it says of each field."""

    part: str
    wholes: list[tuple[_Claim, Sequence[str]]] = field(default_factory=list)
    """The whole writes and deletes back to one that keeps nothing, each with what it keeps."""
    fields: dict[str, _Claim] = field(default_factory=dict)
    replaced: dict[str, _Claim] = field(default_factory=dict)

    def take(self, write: ProductWrite, claim: _Claim) -> None:
        """Go on with the next higher write."""
        if write.whole:
            self.wholes = [*(self.wholes if write.kept else ()), (claim, write.kept)]
            self.fields = {name: by for name, by in self.fields.items() if is_within(name, write.kept)}
            replaced = sorted(self.replaced.items(), key=lambda item: item[1].place)
            self.replaced = {name: by for outer, by in replaced for name in shared_names(outer, write.kept)}
        else:
            self.fields = {name: by for name, by in self.fields.items() if not write.covers(name)}
            self.replaced |= dict.fromkeys((*write.replaces, *write.fields), claim)
        self.fields |= dict.fromkeys(write.fields, claim)

    @property
    def base(self) -> _Claim:
        """The last whole write or delete; there must be one."""
        return self.wholes[-1][0]

    def hides(self, name: str, by: _Claim) -> bool:
        """Whether what another line says of a field is older than a whole write that does not keep it."""
        base = next((claim for claim, kept in reversed(self.wholes) if not is_within(name, kept)), None)
        return base is not None and by.line != base.line and by.appended < base.appended


def _document(writes: list[ProductWrite]) -> Document:
    """Return the document of a set of writes: what is visible, and what of the rest must be remembered."""
    writes.sort(key=lambda write: (write.line, write.rank, write.appended, write.digest))
    lines: dict[str, _Line] = {}
    for place, write in enumerate(writes):
        line = lines.setdefault(write.line, _Line(write.part))
        line.take(write, _Claim(write.appended, write.line, place))
    bases: dict[str, _Line] = {}
    for line in lines.values():
        if line.wholes:
            bases[line.part] = max(line, bases.get(line.part, line), key=lambda one: one.base)
    return _packed(writes, _visible(lines, bases), bases[""].base.place if "" in bases else -1)


def _visible(lines: Mapping[str, _Line], bases: Mapping[str, _Line]) -> dict[str, int]:
    """Return whose value each visible field has; `bases` are the lines of the bases, by part."""
    if len(lines) == 1:  # as nearly always: no other line hides or replaces anything
        [line] = lines.values()
        return {name: by.place for name, by in line.fields.items()}

    def counts(name: str, by: _Claim) -> bool:
        base = bases.get(lines[by.line].part)
        return base is None or not base.hides(name, by)

    last: dict[str, _Claim] = {}
    for line in lines.values():
        for name, by in line.fields.items():
            if counts(name, by):
                last[name] = max(by, last.get(name, by))

    def is_replaced(name: str, by: _Claim) -> bool:
        """Whether a line that says nothing else of the field wrote what it is nested in, later."""
        return any(
            other > by and name not in lines[other.line].fields and counts(name, other)
            for outer in outer_names(name)
            for line in lines.values()
            if (other := line.replaced.get(outer)) is not None
        )

    return {name: by.place for name, by in last.items() if not is_replaced(name, by)}


def _packed(writes: Sequence[ProductWrite], visible: Mapping[str, int], base: int) -> Document:
    """Return the document, with each value in it once."""
    revisions = [
        Revision(
            *write._replace(
                fields={name: value for name, value in write.fields.items() if visible.get(name) != place}
            )
        )
        for place, write in enumerate(writes)
    ]
    return Document(
        {name: writes[place].fields[name] for name, place in visible.items()},
        tuple(revisions),
        base,
        {name: place for name, place in visible.items() if place != base},
    )


def _writes(document: Document) -> list[ProductWrite]:
    """Return the revisions with all of their own values."""
    owned: list[dict[str, FieldValue]] = [dict(revision.fields) for revision in document.revisions]
    for name, value in document.fields.items():
        owned[document.owners.get(name, document.base)][name] = value
    return [
        ProductWrite(
            revision.line,
            revision.version,
            revision.appended,
            revision.digest,
            revision.partial,
            revision.timeline,
            revision.op,
            fields,
            revision.replaces,
            revision.kept,
        )
        for revision, fields in zip(document.revisions, owned, strict=True)
    ]


def _size(document: Document) -> int:
    """Return the bytes of what is visible, or half of those of all that is kept, whichever is more."""
    visible = len(orjson.dumps(document.fields))
    hidden = [len(orjson.dumps(revision.fields)) for revision in document.revisions if revision.fields]
    if not hidden:
        return visible
    return max(visible, (visible + sum(hidden) + len(hidden) + len("[]")) // 2)
