"""What a product is depends on its changes alone: checked against a model that knows nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import zip_longest
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import TypeAdapter

from schemas.base import MAX_MESSAGE_BYTES
from schemas.catalogue import Appended, Document, StampedChange
from services.embedder.domain.state import StoredProduct, pack_product, unpack_product
from shared.catalogue import documents
from shared.catalogue.acceptances import NONE, Acceptances, Accepted, timeline_of
from shared.catalogue.documents import EMPTY, absorb, admit, beyond, carried, merge, on_timelines
from shared.catalogue.writes import is_within
from shared.errors import PoisonError
from tests.stamped import change

DOCUMENTS = TypeAdapter(Document)
NAMES = st.sampled_from(["title", "price", "promo", "promo.label", "promo.until"])
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 2),
    st.sampled_from([0.0, 1.0, 2.5]),
    st.text("ab", max_size=2),
    st.lists(st.sampled_from(["x", 1, True]), max_size=2).map(tuple),
)
APPENDED = st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(0, 9)).map(lambda at: Appended(*at))

ACCEPTANCES = st.frozensets(
    st.builds(Accepted, st.sampled_from(["version", "time", "prices"]), st.integers(0, 9)), max_size=2
)


@st.composite
def changes(draw: st.DrawFn) -> StampedChange:
    """Anything that a producer can do: every kind of change, version and line; what it says is its digest."""
    op = draw(st.sampled_from(["upsert", "patch", "delete"]))
    line = draw(st.sampled_from(["version", "time", "append", "prices", "snapshot/prices"]))
    appended = draw(APPENDED)
    version = tuple(appended) if line == "append" else (draw(st.integers(0, 3)),)
    fields = {} if op == "delete" else draw(st.dictionaries(NAMES, VALUES, max_size=3))
    nested = st.lists(st.sampled_from(["promo", "promo.label", "price"]), max_size=2, unique=True).map(tuple)
    replaces = draw(nested) if op == "patch" else ()
    kept = draw(nested) if op == "upsert" else ()
    return change(
        op,
        version,
        line=line,
        appended=appended,
        partial=line.endswith("prices"),
        replaces=replaces,
        kept=tuple(name for name in kept if name not in fields),
        **fields,
    )


HISTORIES = st.lists(changes(), max_size=8, unique_by=lambda one: one.stamp.appended)
"""No two messages lie at one place."""


def merged(*them: StampedChange) -> Document:
    return reduce(lambda document, one: merge(document, one).document, them, EMPTY)


def exactly(document: Document) -> object:
    """To Python 1, 1.0 and True are equal; to a shop they are not."""
    named = {name: document.fields[name] for name in sorted(document.fields)}
    return document.revisions, document.base, dict(document.owners), repr(named)


class Model:
    """The rule, read off the whole set of changes at once: no merging, no state, no order of arrival."""

    def __init__(self, them: Iterable[StampedChange]) -> None:
        first: dict[tuple[object, ...], StampedChange] = {}
        for one in them:
            known = first.setdefault((one.stamp.line, one.stamp.version, one.stamp.digest), one)
            if one.stamp.appended < known.stamp.appended:
                first[one.stamp.line, one.stamp.version, one.stamp.digest] = one
        self._lines: dict[str, list[StampedChange]] = {}
        for one in sorted(first.values(), key=lambda one: (one.stamp.version, one.stamp.appended)):
            if one.op != "patch" or one.fields or one.replaces:
                self._lines.setdefault(one.stamp.line, []).append(one)
        self.base, self._base_of_prices = self._base(partial=False), self._base(partial=True)

    def _base(self, *, partial: bool) -> StampedChange | None:
        last = [
            whole[-1]
            for line in self._lines.values()
            if (whole := [one for one in line if one.op != "patch" and one.stamp.partial is partial])
        ]
        return max(last, key=lambda one: (one.stamp.appended, one.stamp.line), default=None)

    @property
    def exists(self) -> bool:
        return self.base is not None and self.base.op == "upsert"

    @property
    def fields(self) -> Mapping[str, object]:
        names = {name for line in self._lines.values() for one in line for name in one.fields}
        decided = {name: self._decides(name) for name in names}
        return {name: one.fields[name] for name, one in decided.items() if one and name in one.fields}

    def _decides(self, name: str) -> StampedChange | None:
        """Return the change that says what the field is, or that it is not."""
        last = [one for line in self._lines.values() if (one := self._decides_in(line, name))]
        return max(last, key=lambda one: (one.stamp.appended, one.stamp.line), default=None)

    def _decides_in(self, line: Sequence[StampedChange], name: str) -> StampedChange | None:
        """Return the one of a line, unless it says nothing beside the base."""
        decides: StampedChange | None = None
        for one in line:
            patched = one.op == "patch" and (is_within(name, one.fields) or is_within(name, one.replaces))
            if name in one.fields or patched:
                decides = one
            elif one.op != "patch" and not is_within(name, one.kept):
                decides = None
        return decides if decides and self._stands(decides, name) else None

    def _stands(self, one: StampedChange, name: str) -> bool:
        base = self._base_of_prices if one.stamp.partial else self.base
        if base is None or one.stamp.line == base.stamp.line:
            return True
        said = [
            other
            for other in self._lines[base.stamp.line]
            if other.op != "patch" and not is_within(name, other.kept)
        ]
        return not said or one.stamp.appended > said[-1].stamp.appended


@given(HISTORIES)
def test_a_document_is_what_the_model_says(them: list[StampedChange]) -> None:
    document, model = merged(*them), Model(them)
    assert document.exists == model.exists
    assert {name: repr(value) for name, value in document.fields.items()} == {
        name: repr(value) for name, value in model.fields.items()
    }


@given(them=HISTORIES, rng=st.randoms(use_true_random=False))
def test_changes_give_the_same_document_in_any_order_and_any_number_of_times(
    them: Sequence[StampedChange], rng: Random
) -> None:
    again = [*them, *rng.choices(them, k=len(them))] if them else []
    rng.shuffle(again)
    assert exactly(merged(*them)) == exactly(merged(*again))


@given(them=HISTORIES, rng=st.randoms(use_true_random=False))
def test_what_is_appended_again_changes_nothing(them: Sequence[StampedChange], rng: Random) -> None:
    """A producer that tries again writes the same change at another place, later."""
    again = [
        repeated(one, 100 + at)
        for at, one in enumerate(rng.choices(them, k=len(them)) if them else [])
        if one.stamp.line != "append"  # where it lies is its version
    ]
    shuffled = [*them, *again]
    rng.shuffle(shuffled)
    assert exactly(merged(*them)) == exactly(merged(*shuffled))


def repeated(one: StampedChange, milliseconds: int) -> StampedChange:
    stamp = one.stamp._replace(appended=Appended(milliseconds, 0, 0))
    return replace(one, stamp=stamp)


@given(HISTORIES, st.data())
def test_documents_that_know_parts_of_a_history_join_to_the_whole(
    them: list[StampedChange], data: st.DataObject
) -> None:
    owners = data.draw(st.lists(st.sampled_from("abc"), min_size=len(them), max_size=len(them)))
    a, b, c = (merged(*[one for one, at in zip(them, owners, strict=True) if at == name]) for name in "abc")
    assert exactly(absorb(absorb(a, b), c)) == exactly(absorb(a, absorb(b, c))) == exactly(merged(*them))


@given(HISTORIES)
def test_a_change_that_changes_nothing_returns_the_same_object(them: list[StampedChange]) -> None:
    document = merged(*them)
    for one in them:
        again = merge(document, one)
        assert again.document is document
        assert again.outcome != "applied"
    assert absorb(document, merged(*them[1:])) is document


@given(them=HISTORIES, steps=st.lists(st.sampled_from(["whole", "rest", "none"]), max_size=8), data=st.data())
def test_what_is_beyond_a_record_and_that_record_are_the_document(
    them: list[StampedChange], steps: list[str], data: st.DataObject
):
    """Of a product some changes are written whole and some as the rest; a reader may miss any of the rests.

    What was put on another timeline is written whole.
    """
    document = whole = seen = EMPTY
    known: frozenset[int] | None = frozenset()
    accepted: Acceptances = NONE
    for one, step in zip_longest(them, steps):
        accepted |= data.draw(st.sampled_from([NONE, NONE, NONE]) | ACCEPTANCES)
        before = on_timelines(document, accepted)
        known = known if before is document else None
        document = before if one is None else merge(before, timed(one, accepted)).document
        known = None if known is None else carried(before, known, document)
        if step == "whole" or known is None:
            whole = seen = document
            known = frozenset(range(len(document.revisions)))
        elif step == "rest":
            seen = absorb(seen, beyond(document, known))
            assert exactly(seen) == exactly(document)
    rest = beyond(document, known)
    assert exactly(absorb(whole, rest)) == exactly(absorb(seen, rest)) == exactly(document)
    assert exactly(absorb(rest, whole)) == exactly(document)
    assert absorb(document, rest) is document


def timed(one: StampedChange, accepted: Acceptances) -> StampedChange:
    timeline = timeline_of(one.stamp.line, one.stamp.appended, accepted)
    return replace(one, stamp=one.stamp._replace(timeline=timeline))


def test_a_repetition_with_its_names_in_another_order_changes_nothing() -> None:
    first, lower = change("upsert", 2, kept=("a", "b")), change("patch", 1, replaces=("c", "d"))
    document = merged(first, lower)
    for again in (change("upsert", 2, kept=("b", "a")), change("patch", 1, replaces=("d", "c"))):
        assert merge(document, again).document is document


@given(HISTORIES)
def test_a_document_survives_storage_and_the_bus(them: list[StampedChange]) -> None:
    document = merged(*them)
    assert exactly(unpack_product(pack_product(StoredProduct(document))).document) == exactly(document)
    decoded = DOCUMENTS.validate_json(DOCUMENTS.dump_json(document))
    assert exactly(decoded) == exactly(document)


def test_a_late_price_does_not_overwrite_a_new_title() -> None:
    document = merged(change("upsert", 1, title="old", price=1), change("patch", 9, title="new"))
    document = merge(document, change("patch", 5, title="stale", price=2)).document
    assert document.fields == {"title": "new", "price": 2}


def test_a_whole_write_hides_what_it_does_not_name() -> None:
    assert merged(change("upsert", 1, title="a", color="red"), change("upsert", 2, title="b")).fields == {
        "title": "b"
    }


def test_a_newer_patch_waits_for_the_product_that_it_patches() -> None:
    early = merged(change("patch", 9, price=5))
    assert not early.exists
    assert merged(change("patch", 9, price=5), change("upsert", 1, title="a", price=1)).fields == {
        "title": "a",
        "price": 5,
    }


def at(milliseconds: int) -> Appended:
    return Appended(milliseconds, 0, milliseconds)


def test_of_equal_versions_the_one_appended_last_counts() -> None:
    one, other = change("upsert", 3, appended=at(1), title="a"), change("delete", 3, appended=at(2))
    assert not merged(one, other).exists
    assert not merged(other, one).exists
    assert merged(one, change("delete", 3, appended=at(0))).exists


def test_the_same_change_again_does_not_win_a_tie_that_it_had_lost() -> None:
    first, second = (
        change("upsert", 3, appended=at(1), title="a"),
        change("upsert", 3, appended=at(2), title="b"),
    )
    assert merged(first, second, repeated(first, 9)).fields == {"title": "b"}


def test_a_bare_tombstone_deletes_what_was_appended_before_it_and_nothing_after() -> None:
    created, gone = (
        change("upsert", 1, appended=at(1), title="lamp"),
        change("delete", (2, 0, 2), line="append", appended=at(2)),
    )
    assert not merged(created, gone).exists
    assert merged(created, gone, change("upsert", 2, appended=at(3), title="lamp")).exists
    assert not merged(created, gone, repeated(created, 9)).exists


def test_kinds_of_version_do_not_compare() -> None:
    """A producer that begins to send versions, or stops, is heard: what was appended last counts."""
    by_time = change("upsert", 1_795_000_000_000, line="time", appended=at(1), title="a", price=1)
    by_number = change("patch", 1, appended=at(2), price=2)
    assert merged(by_time, by_number).fields == {"title": "a", "price": 2}
    whole = change("upsert", 2, appended=at(3), title="b")
    assert merged(by_time, by_number, whole).fields == {"title": "b"}
    assert (
        merged(by_time, whole, change("delete", 1_795_000_000_001, line="time", appended=at(4))).fields == {}
    )


def test_what_a_change_keeps_is_not_what_the_snapshot_said_before_it_was_written() -> None:
    """A large column that was written since: PostgreSQL does not log it with the updates that follow."""
    snapshot = change(
        "upsert", 9, line="shop/snapshot", appended=at(1), **{"attrs.size": 40, "attrs.sale": True}
    )
    kept = change("upsert", 20, line="shop", appended=at(2), title="a", kept=("attrs",))
    assert merged(snapshot, kept).fields == {"attrs.size": 40, "attrs.sale": True, "title": "a"}
    written = change("upsert", 30, line="shop", appended=at(3), **{"title": "a", "attrs.size": 41})
    cheaper = change("upsert", 40, line="shop", appended=at(4), title="b", kept=("attrs",))
    assert merged(snapshot, kept, written, cheaper).fields == {"title": "b", "attrs.size": 41}
    anew = change("upsert", 50, line="shop/snapshot", appended=at(5), **{"title": "b", "attrs.sale": False})
    last = change("upsert", 60, line="shop", appended=at(6), title="c", kept=("attrs",))
    assert merged(snapshot, kept, written, cheaper, anew).fields == {"title": "b", "attrs.sale": False}
    assert merged(snapshot, kept, written, cheaper, anew, last).fields["attrs.sale"] is False


def test_a_row_of_a_part_that_is_gone_takes_what_its_snapshot_said() -> None:
    """MariaDB's snapshot has no GTID: it is of another line than the changes that follow."""
    product = change("upsert", 5, line="shop/0", appended=at(1), title="Shoe")
    snapshot = change("upsert", 4, line="shop/binlog/prices", partial=True, appended=at(2), price=20)
    gone = change("delete", 6, line="shop/0/prices", partial=True, appended=at(3))
    assert merged(product, snapshot).fields == {"title": "Shoe", "price": 20}
    assert merged(product, snapshot, gone).fields == {"title": "Shoe"}
    again = change("upsert", 7, line="shop/0/prices", partial=True, appended=at(4), price=None)
    assert merged(product, snapshot, gone, again).fields == {"title": "Shoe", "price": None}


def test_a_partial_line_stands_beside_the_product_and_deletes_its_own_fields_only() -> None:
    product = change("upsert", 5, line="shop", appended=at(1), title="teapot")
    price = change("upsert", 6, line="shop/prices", partial=True, appended=at(2), price=25)
    renamed = change("upsert", 7, line="shop", appended=at(3), title="pot")
    assert merged(product, price, renamed).fields == {"title": "pot", "price": 25}
    assert not merged(price).exists
    gone = change("delete", 8, line="shop/prices", partial=True, appended=at(4))
    assert merged(product, price, renamed, gone).fields == {"title": "pot"}
    assert merged(product, price, renamed, gone).exists


def test_what_a_whole_write_does_not_know_stays_as_it_was() -> None:
    created = change("upsert", 1, title="a", text="long", color="red")
    updated = change("upsert", 2, title="b", kept=("text",))
    assert merged(created, updated).fields == {"title": "b", "text": "long"}
    again = merged(created, *(change("upsert", n, title="b", kept=("text",)) for n in range(2, 40)))
    assert len(again.revisions) == 2, "what is hidden twice is forgotten"


def test_what_is_kept_of_a_patch_is_covered_by_the_patch_that_covered_it() -> None:
    wide = change("patch", 0, replaces=("promo.label",), promo=1, title=2)
    narrow = change("patch", 2, replaces=("promo.label",), appended=Appended(9, 0, 4))
    whole = change("upsert", 3, kept=("promo.label", "price"))
    assert exactly(merged(wide, whole, narrow)) == exactly(merged(narrow, wide, whole))


def test_a_patch_replaces_what_is_nested_as_a_whole() -> None:
    created = change("upsert", 1, **{"title": "a", "promo.label": "x", "promo.until": "y"})
    emptied = change("patch", 2, promo=None, replaces=("promo",))
    assert merged(created, emptied).fields == {"title": "a", "promo": None}
    other = change("patch", 2, replaces=("promo",), **{"promo.label": "z"})
    assert merged(created, other).fields == {"title": "a", "promo.label": "z"}


def test_what_is_older_is_told_from_what_is_repeated() -> None:
    document = merged(change("upsert", 5, appended=at(5), title="a"))
    assert merge(document, change("upsert", 5, appended=at(9), title="a")).outcome == "repeated"
    assert merge(document, change("upsert", 4, appended=at(4), title="b")).outcome == "repeated", "read again"
    assert merge(document, change("upsert", 4, appended=at(9), title="b")).outcome == "older"
    assert merge(document, change("patch", 4, appended=at(9), price=1)).outcome == "older"


def test_a_document_of_the_first_layout_is_one_line_of_versions() -> None:
    old = DOCUMENTS.validate_python(
        {
            "fields": {"title": "a", "price": 5},
            "versions": {"title": 3, "price": 5},
            "upserted": 3,
            "deleted": 2,
            "event_time": "2026-11-20T12:00:00Z",
        }
    )
    assert (old.exists, old.fields) == (True, {"title": "a", "price": 5})
    assert merge(old, change("patch", 1, appended=at(1), price=6)).document.fields == {
        "title": "a",
        "price": 6,
    }
    read_again = merge(old, change("upsert", 1, title="b")).document
    assert read_again == merged(change("upsert", 1, title="b")), "what is read again says it all"
    assert absorb(read_again, old) is read_again
    gone = DOCUMENTS.validate_python({"deleted": 7})
    assert (gone.exists, len(gone.revisions)) == (False, 1)
    assert DOCUMENTS.validate_python({"versions": {}}) == EMPTY


def test_patch_upon_patch_does_not_make_a_product_larger_than_a_message() -> None:
    document = admit(EMPTY, change("upsert", 1, title="x" * 200_000)).document
    with pytest.raises(PoisonError, match=r"document\.too_large"):
        admit(document, change("patch", 2, bullets="x" * 100_000))
    shorter = admit(document, change("patch", 2, title="y", bullets="x" * 100_000)).document
    assert shorter.fields["title"] == "y"


def test_a_product_of_exactly_the_size_of_a_message_is_taken() -> None:
    room = MAX_MESSAGE_BYTES - len(b'{"title":""}')
    assert admit(EMPTY, change("upsert", 1, title="x" * room)).document.exists
    with pytest.raises(PoisonError, match=r"document\.too_large"):
        admit(EMPTY, change("upsert", 1, title="x" * (room + 1)))


def test_a_producer_of_another_kind_may_write_a_large_product_again() -> None:
    """What the other line had is remembered beside it."""
    large = admit(EMPTY, change("upsert", 1, title="x" * 250_000)).document
    again = change("upsert", (9, 0, 9), line="append", appended=at(9), title="y" * 250_000)
    assert admit(large, again).document.exists


def test_a_patch_of_nothing_says_nothing_and_an_upsert_of_nothing_makes_an_empty_product() -> None:
    assert merge(EMPTY, change("patch", 9)).document is EMPTY
    assert merged(change("upsert", 0)).exists
    assert merged(change("upsert", 0, title="a"), change("upsert", 1)).fields == {}


@st.composite
def ties(draw: st.DrawFn) -> StampedChange:
    """Draw changes of few versions of nearly one line, so that several are of one version."""
    op = draw(st.sampled_from(["upsert", "patch", "patch", "delete"]))
    names = st.sampled_from(["title", "promo", "promo.label"])
    fields = {} if op == "delete" else draw(st.dictionaries(names, st.integers(0, 1), max_size=2))
    line = draw(st.sampled_from(["version", "version", "version", "time"]))
    return change(op, (draw(st.integers(0, 2)),), line=line, appended=draw(APPENDED), **fields)


@given(
    them=st.lists(ties(), max_size=7, unique_by=lambda one: one.stamp.appended),
    chosen=st.sets(st.integers(0, 7)),
)
def test_the_short_way_of_a_patch_and_of_a_rest_leads_to_the_same(
    them: list[StampedChange], chosen: set[int]
):
    document = EMPTY
    for one in them:
        writes = documents._writes(document)
        outcome = documents.insert(writes, documents._of(one), entire=True)
        expected = documents._document(writes) if outcome == "applied" else document
        document, said = merge(document, one)
        assert (exactly(document), said) == (exactly(expected), outcome)
        rest = [write for place, write in enumerate(documents._writes(document)) if place not in chosen]
        assert exactly(beyond(document, chosen)) == exactly(documents._document(rest))
