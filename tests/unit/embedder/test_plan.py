"""What a batch needs: the products it touched, the texts to embed, and the record that says it all."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from schemas.catalogue import ProductChange
from schemas.index import IndexRecord, Passage
from services.embedder.domain.plan import (
    HASH_DIGITS,
    embedding_of,
    hash_content,
    index_record,
    merge_batch,
    plan,
)
from services.embedder.domain.state import NOTHING, Embedding, StoredProduct
from shared.catalogue.documents import EMPTY
from shared.encoder.passages import Cut
from shared.errors import PoisonError
from shared.records import Applied

from .samples import FINGERPRINT, NOON, RECIPE, change, document, embedding, place, touched

CUT = RECIPE.cut.how
LONG = "one two three four five six"


def batch(*changes: ProductChange):
    return [(place(offset), one) for offset, one in enumerate(changes)]


def test_a_product_that_is_touched_twice_is_planned_once_with_its_last_change():
    merged = merge_batch(batch(change("upsert", 1, title="a"), change("patch", 2, price=5)), {})
    [product] = merged.touched
    assert product.document.fields == {"title": "a", "price": 5}
    assert (product.source.offset, product.event_time) == (1, change("patch", 2).event_time)
    assert merged.applied == Applied(2)


def test_what_is_stored_is_merged_with_and_its_vectors_are_remembered():
    stored = {"p": StoredProduct(document(change("upsert", 3, title="a")), embedding())}
    [product] = merge_batch(batch(change("patch", 4, price=5)), stored).touched
    assert product.document.fields == {"title": "a", "price": 5}
    assert product.before == stored["p"]


def test_a_change_that_is_old_touches_nothing_and_is_counted():
    stored = {"p": StoredProduct(document(change("upsert", 3, title="a")), embedding())}
    merged = merge_batch(batch(change("upsert", 2, title="older"), change("upsert", 3, title="a")), stored)
    assert (merged.touched, merged.applied.total) == ((), 2)
    assert merged.applied.applied == 0


def test_a_repetition_after_a_change_does_not_take_the_change_s_place():
    first = change("upsert", 3, title="a")
    [product] = merge_batch([(place(10), first), (place(11), first)], {}).touched
    assert product.source.offset == 10


def test_one_and_true_are_two_values_of_which_the_batch_applies_both():
    """To Python they are equal; to a shop they are not."""
    merged = merge_batch(batch(change("upsert", 1, stock=1), change("upsert", 1, stock=True)), {})
    assert merged.applied == Applied(2)
    assert merged.touched[0].document.fields["stock"] is True


def test_a_change_that_makes_a_product_too_large_is_poison():
    stored = {"p": StoredProduct(document(change("upsert", 1, title="x" * 200_000)))}
    with pytest.raises(PoisonError, match=r"document\.too_large"):
        merge_batch(batch(change("patch", 2, bullets="x" * 100_000)), stored)


@given(
    st.lists(
        st.builds(
            change,
            st.sampled_from(["upsert", "patch", "delete"]),
            st.integers(0, 4),
            st.sampled_from(["p", "q"]),
        )
    )
)
def test_every_change_of_a_batch_is_accounted_for(changes: Sequence[ProductChange]):
    merged = merge_batch(batch(*changes), {})
    assert merged.applied.total == len(changes)
    assert {product.product_id for product in merged.touched} <= {one.product_id for one in changes}
    assert len(merged.touched) <= merged.applied.applied


def test_a_new_text_is_cut_into_passages_that_are_embedded():
    planned = plan(touched(document(change("upsert", 1, title=LONG))), RECIPE)
    assert planned.text == LONG
    assert planned.kept is None
    assert planned.passages == ["one two three four", "four five six"]
    assert planned.content_hash == hash_content(LONG, CUT, passages=2) != hash_content(LONG, CUT)


def test_the_title_stands_before_each_passage_that_is_embedded_and_the_places_are_of_the_text():
    recipe = replace(RECIPE, templates=("title", "text"))
    planned = plan(touched(document(change("upsert", 1, title="Sock", text="soft warm. dry red."))), recipe)
    assert planned.text == "Sock\nsoft warm. dry red."
    assert planned.passages == ["Sock\nsoft warm.", "Sock\ndry red."]
    assert [planned.text[start:end] for start, end in planned.cut.spans] == ["Sock\nsoft warm.", "dry red."]


def test_a_text_that_an_earlier_version_cut_otherwise_keeps_its_vectors_until_it_changes():
    places = (Passage(start=0, end=13), Passage(start=8, end=18), Passage(start=14, end=27))
    before = Embedding(hash_content(LONG, CUT), FINGERPRINT, places, b"vectors")
    planned = plan(touched(document(change("upsert", 1, title=LONG)), before), RECIPE)
    assert (planned.kept, planned.content_hash) == (before, before.content_hash)
    changed = plan(touched(document(change("upsert", 1, title=LONG + "!")), before), RECIPE)
    assert changed.kept is None


def test_a_new_generation_of_the_same_model_is_all_of_one_cut():
    places = (Passage(start=0, end=13), Passage(start=8, end=18), Passage(start=14, end=27))
    product = touched(
        document(change("upsert", 1, title=LONG)),
        Embedding(hash_content(LONG, CUT), FINGERPRINT, places, b"vectors"),
    )
    planned = plan(product, RECIPE, anew=True)
    assert planned.passages == ["one two three four", "four five six"]
    made = embedding_of(planned, b"rows", FINGERPRINT)
    again = touched(product.document, made)
    assert plan(again, RECIPE, anew=True).kept is plan(again, RECIPE).kept is made
    unread = structs.replace(made, passages=(), vectors=b"", read=False)
    assert plan(touched(product.document, unread), RECIPE, anew=True).kept is unread


def test_a_text_that_is_cleaned_otherwise_is_embedded_when_its_product_changes():
    before = Embedding(hash_content("<p>lamp</p>", CUT), FINGERPRINT, (Passage(start=0, end=11),), b"vector")
    planned = plan(touched(document(change("upsert", 1, title="<p>lamp</p>")), before), RECIPE)
    assert (planned.text, planned.passages) == ("lamp", ["lamp"])


def test_a_text_that_has_its_vectors_is_not_embedded():
    before = Embedding(hash_content("lamp", CUT), FINGERPRINT, (Passage(start=0, end=4),), b"vector")
    planned = plan(touched(document(change("upsert", 1, title="lamp", price=3)), before), RECIPE)
    assert (planned.passages, planned.cut.spans, planned.kept) == ([], (), before)
    assert planned.content_hash == before.content_hash
    assert embedding_of(planned, b"", FINGERPRINT) is before


@pytest.mark.parametrize(
    "before",
    [
        Embedding(hash_content("lamp", CUT), "f" * 16, (), b""),
        Embedding(hash_content("another", CUT), FINGERPRINT, (), b""),
        NOTHING,
    ],
    ids=["another model's", "another text's", "none"],
)
def test_vectors_of_another_model_or_text_do_not_serve(before):
    assert plan(touched(document(change("upsert", 1, title="lamp")), before), RECIPE).passages == ["lamp"]


@pytest.mark.parametrize(
    "merged", [EMPTY, document(change("delete", 3)), document(change("patch", 1, title="a"))]
)
def test_a_product_that_is_not_there_needs_no_vectors(merged):
    planned = plan(touched(merged, embedding()), RECIPE)
    assert (planned.text, planned.content_hash, planned.passages) == ("", "", [])
    assert planned.kept is NOTHING


def test_a_product_without_a_text_has_no_passages_and_is_indexed_all_the_same():
    planned = plan(touched(document(change("upsert", 1, price=3))), RECIPE)
    assert (planned.text, planned.passages, planned.kept) == ("", [], None)
    assert planned.content_hash == hash_content("", CUT)


def test_the_content_hash_is_of_the_text_and_of_how_it_is_cut():
    ways = [
        CUT,
        Cut(size=5, overlap=1, most=3),
        Cut(size=4, overlap=2, most=3),
        Cut(size=4, overlap=1, most=2),
    ]
    hashes = {hash_content("lamp", way) for way in ways} | {hash_content("lamps", CUT)}
    assert len(hashes) == 5
    assert {len(digits) for digits in hashes} == {HASH_DIGITS}


def test_the_content_hash_stays_what_it_was():
    """Another hash would embed every catalogue anew at the next upgrade."""
    assert hash_content("Trail shoe", Cut(size=100, overlap=20, most=8)) == "ef5bc4ec0538b114328e4db02c43c30b"


def test_a_text_with_half_a_surrogate_pair_has_a_hash():
    assert len(hash_content("\ud83d", CUT)) == HASH_DIGITS


def test_what_was_embedded_is_kept_with_its_passages():
    planned = plan(touched(document(change("upsert", 1, title=LONG))), RECIPE)
    made = embedding_of(planned, b"rows", FINGERPRINT)
    assert made == Embedding(planned.content_hash, FINGERPRINT, made.passages, b"rows")
    assert [(passage.start, passage.end) for passage in made.passages] == list(planned.cut.spans)
    assert made.serves(hash_content(LONG, CUT, passages=2), FINGERPRINT)


def test_the_record_says_everything_about_the_product_and_survives_the_wire():
    planned = plan(touched(document(change("upsert", 1, title="lamp")), offset=41), RECIPE)
    made = embedding_of(planned, b"\x00\x3c\x00\x00", FINGERPRINT)
    german = replace(
        RECIPE, language=lambda fields, text: "de" if (fields["title"], text) == ("lamp", "lamp") else ""
    )
    written = index_record(planned, made, german, epoch=6)
    read = IndexRecord.decode(written.encode())
    assert read.document == planned.touched.document
    assert (read.product_id, read.text, read.content_hash) == ("p", "lamp", planned.content_hash)
    assert read.language == "de"
    assert (read.fingerprint, read.dimensions, read.vectors) == (FINGERPRINT, 2, b"\x00\x3c\x00\x00")
    assert (read.source, read.epoch, read.event_time) == (place(41), 6, NOON)
    assert read.passages == made.passages
    assert not read.deleted
