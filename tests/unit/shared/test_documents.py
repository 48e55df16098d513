from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import Document, ProductChange
from services.embedder.domain.state import pack_document, unpack_document
from shared.documents import EMPTY, admit, join, merge
from shared.errors import PoisonError

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = st.sampled_from(["title", "price", "brand", "stock"])
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 2),
    st.sampled_from([0.0, 1.0, 2.5, -0.0]),
    st.text("ab", max_size=2),
    st.lists(st.sampled_from(["x", 1, True]), max_size=2).map(tuple),
)


@st.composite
def changes(draw: st.DrawFn) -> ProductChange:
    op = draw(st.sampled_from(["upsert", "patch", "delete"]))
    return ProductChange(
        product_id="p",
        op=op,
        version=draw(st.integers(0, 5)),
        event_time=START + timedelta(minutes=draw(st.integers(0, 5))),
        fields={} if op == "delete" else draw(st.dictionaries(NAMES, VALUES, max_size=3)),
    )


def change(op: str, version: int, **fields: object) -> ProductChange:
    return ProductChange.model_validate(
        {"product_id": "p", "op": op, "version": version, "event_time": START, "fields": fields}
    )


def merged(*them: ProductChange) -> Document:
    return reduce(merge, them, EMPTY)


def exactly(document: Document) -> object:
    """To Python 1, 1.0 and True are equal; to a shop they are not."""
    return pack_document(
        Document.model_construct(
            **{
                **document.__dict__,
                "fields": {name: document.fields[name] for name in sorted(document.fields)},
            }
        )
    )


@given(them=st.lists(changes(), max_size=8), rng=st.randoms(use_true_random=False))
def test_changes_give_the_same_document_in_any_order_and_any_number_of_times(
    them: Sequence[ProductChange], rng: Random
) -> None:
    again = [*them, *rng.choices(them, k=len(them))] if them else []
    rng.shuffle(again)
    assert exactly(merged(*them)) == exactly(merged(*again))


@given(st.lists(changes(), max_size=4), st.lists(changes(), max_size=4), st.lists(changes(), max_size=4))
def test_joining_documents_is_associative(
    one: list[ProductChange], two: list[ProductChange], three: list[ProductChange]
) -> None:
    a, b, c = merged(*one), merged(*two), merged(*three)
    assert exactly(join(join(a, b), c)) == exactly(join(a, join(b, c))) == exactly(merged(*one, *two, *three))


@given(st.lists(changes(), max_size=8), changes())
def test_a_change_that_changes_nothing_returns_the_same_object(
    them: list[ProductChange], last: ProductChange
) -> None:
    document = merged(*them, last)
    assert merge(document, last) is document


@given(st.lists(changes(), max_size=8))
def test_no_patch_resurrects_a_deleted_product(them: list[ProductChange]) -> None:
    document = merged(change("upsert", 3, title="a"), change("delete", 4), *them)
    written = [one.version for one in them if one.op == "upsert" and one.version > 4]
    deleted = [one.version for one in them if one.op == "delete"]
    assert document.exists == (max(written, default=-1) > max(deleted, default=4))


@given(st.lists(changes(), max_size=8))
def test_fields_and_versions_have_the_same_names_and_survive_storage(them: list[ProductChange]) -> None:
    document = merged(*them)
    assert set(document.fields) == set(document.versions)
    assert exactly(unpack_document(pack_document(document))) == exactly(document)
    assert Document.model_validate_json(document.model_dump_json()) == document


def test_a_late_price_does_not_overwrite_a_new_title() -> None:
    document = merged(change("upsert", 1, title="old", price=1), change("patch", 9, title="new"))
    document = merge(document, change("patch", 5, title="stale", price=2))
    assert document.fields == {"title": "new", "price": 2}


def test_a_whole_write_hides_what_it_does_not_name() -> None:
    assert merged(change("upsert", 1, title="a", color="red"), change("upsert", 2, title="b")).fields == {
        "title": "b"
    }


def test_a_newer_patch_waits_for_the_product_that_it_patches() -> None:
    early = merged(change("patch", 9, price=5))
    assert not early.exists
    assert merge(early, change("upsert", 1, title="a", price=1)).fields == {"title": "a", "price": 5}


def test_a_delete_wins_over_a_write_of_the_same_version() -> None:
    assert not merged(change("upsert", 3, title="a"), change("delete", 3)).exists
    assert not merged(change("delete", 3), change("upsert", 3, title="a")).exists


def test_a_version_zero_delete_of_a_versioned_product_changes_nothing() -> None:
    document = merged(change("upsert", 7, title="a"), change("delete", 8))
    assert merge(document, change("delete", 0)) is document


def test_a_tie_between_one_and_true_has_one_winner() -> None:
    one, other = change("upsert", 1, stock=1), change("upsert", 1, stock=True)
    assert merged(one, other).fields["stock"] is merged(other, one).fields["stock"] is True


def test_patch_upon_patch_does_not_make_a_product_larger_than_a_message() -> None:
    document = admit(EMPTY, change("upsert", 1, title="x" * 200_000))
    with pytest.raises(PoisonError, match=r"document\.too_large"):
        admit(document, change("patch", 2, bullets="x" * 100_000))
    assert admit(document, change("patch", 2, title="y", bullets="x" * 100_000)).fields["title"] == "y"
