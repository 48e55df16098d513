"""Whoever learns of an acceptance late has, after reading again, what it would have had."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.catalogue import Acceptance, Appended, Document, StampedChange
from schemas.wire.stamps import APPEND, TOMBSTONE
from shared.catalogue.acceptances import NONE, Acceptances, Accepted, timeline_of
from shared.catalogue.changes import ChangeReader
from shared.catalogue.documents import EMPTY, merge, on_timelines
from shared.records import Partition, Record
from tests.stamped import change
from tests.unit.shared.catalogue.test_documents import HISTORIES, changes, exactly

SHOP = "debezium/postgresql/shop"
ACCEPTED = st.builds(Accepted, st.sampled_from(["version", "time", "prices"]), st.integers(1, 9))
OF_ONE_LINE = st.lists(
    changes().filter(lambda one: one.stamp.line == "version"),
    min_size=2,
    max_size=5,
    unique_by=lambda one: one.stamp.appended,
)


class Reader:
    """Knows some acceptances, and has read some of a product's changes, in whatever order."""

    def __init__(self, acceptances: Acceptances = NONE) -> None:
        self.acceptances = acceptances
        self.document = EMPTY

    def read(self, them: Iterable[StampedChange]) -> None:
        for one in them:
            document = on_timelines(self.document, self.acceptances)
            timeline = timeline_of(one.stamp.line, one.stamp.appended, self.acceptances)
            stamp = one.stamp._replace(timeline=timeline)
            self.document = merge(document, replace(one, stamp=stamp)).document

    def learn(self, accepted: Accepted, read: Sequence[StampedChange]) -> None:
        self.acceptances |= {accepted}
        self.read(one for one in read if one.stamp.appended.milliseconds >= accepted.since)


@given(HISTORIES | OF_ONE_LINE, st.lists(ACCEPTED, max_size=3, unique=True), st.data())
def test_whenever_an_acceptance_becomes_known_the_product_is_the_same(
    them: list[StampedChange], accepted: list[Accepted], data: st.DataObject
) -> None:
    reader, read = Reader(), list[StampedChange]()
    came = data.draw(st.permutations(them))
    moments = data.draw(st.lists(st.integers(0, len(them)), min_size=len(accepted), max_size=len(accepted)))
    for place in range(len(came) + 1):
        for moment, one in zip(moments, accepted, strict=True):
            if moment == place:
                reader.learn(one, data.draw(st.permutations(read)))
        reader.read(came[place : place + 1])
        read += came[place : place + 1]
        if read and data.draw(st.booleans()):
            reader.read(data.draw(st.lists(st.sampled_from(read), max_size=3)))
    knew = Reader(frozenset(accepted))
    knew.read(them)
    assert exactly(reader.document) == exactly(knew.document)


def at(milliseconds: int) -> Appended:
    return Appended(milliseconds, 0, milliseconds)


LAMP = change("upsert", 900, line=SHOP, appended=at(1), title="lamp", price=5)
RESTORED = change("upsert", 300, line=SHOP, appended=at(7), title="old lamp", price=4)
DEARER = change("patch", 301, line=SHOP, appended=at(8), price=6)


def after(*them: StampedChange, accepted: Accepted | None = None) -> Document:
    reader = Reader(frozenset({accepted} if accepted else ()))
    reader.read(them)
    return reader.document


def test_what_a_restored_source_writes_counts_from_when_it_was_accepted() -> None:
    assert after(LAMP, RESTORED, DEARER).fields == {"title": "lamp", "price": 5}
    assert after(LAMP, RESTORED, DEARER, accepted=Accepted(SHOP, 7)).fields == {
        "title": "old lamp",
        "price": 6,
    }
    assert after(LAMP, RESTORED, DEARER, accepted=Accepted(SHOP, 8)).fields == {"title": "lamp", "price": 6}


def test_what_was_appended_before_stays_below_however_late_it_comes() -> None:
    accepted = Accepted("debezium/postgresql", 7)
    assert after(RESTORED, LAMP, accepted=accepted).fields == {"title": "old lamp", "price": 4}
    assert len(after(RESTORED, LAMP, accepted=accepted).revisions) == 1, "nothing of it is remembered"


def test_a_part_that_was_restored_takes_away_what_it_had_said() -> None:
    product = change("upsert", 1, line=SHOP, appended=at(1), title="lamp")
    price = change("upsert", 900, line=f"{SHOP}/prices", partial=True, appended=at(2), price=5, unit="cm")
    restored = change("upsert", 300, line=f"{SHOP}/prices", partial=True, appended=at(7), price=4)
    accepted = Accepted(f"{SHOP}/prices", 7)
    assert after(product, price, restored, accepted=accepted).fields == {"title": "lamp", "price": 4}


def test_what_was_hidden_of_a_change_is_there_again_when_what_hid_it_was_before_it() -> None:
    lower = change("upsert", 100, line=SHOP, appended=at(1), title="lamp")
    price = change("patch", 900, line=SHOP, appended=at(2), price=5)
    both = change("patch", 300, line=SHOP, appended=at(8), price=6, color="red")
    reader = Reader()
    reader.read([lower, price, both])
    assert reader.document.fields == {"title": "lamp", "price": 5, "color": "red"}
    reader.learn(Accepted(SHOP, 7), [both])
    assert reader.document.fields == {"title": "lamp", "price": 6, "color": "red"}


@pytest.mark.parametrize(
    ("source", "line", "covered"),
    [
        ("version", "version", True),
        (SHOP, SHOP, True),
        (SHOP, f"{SHOP}/prices", True),
        (SHOP, "debezium/postgresql/shop2", False),
        ("debezium/mysql/shop", "debezium/mysql/shop/0a-1b", True),
        ("time", "version", False),
        (APPEND, APPEND, False),
        (TOMBSTONE, TOMBSTONE, False),
    ],
)
def test_a_source_is_a_line_or_what_lines_begin_with(source: str, line: str, covered: bool) -> None:
    assert (timeline_of(line, at(7), frozenset({Accepted(source, 7)})) == 7) is covered
    assert not timeline_of(line, at(6), frozenset({Accepted(source, 7)}))


def test_of_several_acceptances_the_last_one_counts_that_the_change_came_after() -> None:
    known = frozenset({Accepted(SHOP, 3), Accepted("debezium", 5), Accepted(SHOP, 9), Accepted("time", 6)})
    assert [timeline_of(SHOP, at(moment), known) for moment in (2, 3, 8, 9)] == [0, 3, 5, 9]


def test_a_reader_puts_a_change_on_its_timeline() -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    message = Acceptance(source="version", since=noon, requested_at=noon)
    record = Record(Partition("catalogue.changes.v1", 0), 0, b"p", b'{"op":"delete","version":3}', noon)
    accepted = Accepted.by(message)
    assert ChangeReader().read(record).change.stamp.timeline == 0
    reader = ChangeReader(acceptances=frozenset({accepted}))
    assert reader.read(record).change.stamp.timeline == accepted.since
