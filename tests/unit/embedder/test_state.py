"""What is remembered of a product comes back as it was written down."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.catalogue import Revision
from schemas.index import Passage
from services.embedder.domain.state import (
    NOTHING,
    UNKNOWN,
    Embedding,
    StoredProduct,
    pack_embedding,
    pack_product,
    passages_of,
    unpack_embedding,
    unpack_product,
)
from shared.catalogue.documents import EMPTY

from .samples import change, document, embedding


@given(
    content_hash=st.text("0123456789abcdef", max_size=32),
    spans=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=4),
    vectors=st.binary(max_size=64),
)
def test_an_embedding_survives_storage_whatever_its_vectors_hold(content_hash, spans, vectors):
    """Vectors are raw bytes behind a line: a line break in them is no end."""
    kept = Embedding(content_hash, "f" * 16, passages_of(spans), vectors)
    assert unpack_embedding(pack_embedding(kept)) == kept


def test_nothing_stored_is_nothing():
    assert unpack_embedding(None) is NOTHING
    assert StoredProduct(EMPTY, NOTHING) == UNKNOWN


def test_a_document_survives_storage_with_its_lists_and_versions():
    kept = document(
        change("upsert", 3, title="a", sizes=["S", "M"], stock=True, price=None),
        change("patch", 5, price=1.5),
    )
    read = unpack_product(pack_product(StoredProduct(kept))).document
    assert read == kept
    assert read.fields["sizes"] == ("S", "M")
    assert read.fields["stock"] is True
    assert [revision.version for revision in read.revisions] == [(3,), (5,)]


def test_a_product_says_which_vectors_it_has_without_them():
    kept = StoredProduct(document(change("upsert", 3, title="a")), embedding(), frozenset({0}))
    read = unpack_product(pack_product(kept))
    assert (read.document, read.whole) == (kept.document, kept.whole)
    assert read.embedding == Embedding("old", embedding().fingerprint, read=False)
    deleted = unpack_product(pack_product(StoredProduct(document(change("delete", 4)), NOTHING, frozenset())))
    assert (deleted.embedding, deleted.whole) == (NOTHING, frozenset())


def test_what_an_earlier_version_stored_says_nothing_of_its_vectors_or_its_record():
    kept = document(change("upsert", 3, title="a"))
    fields, revisions, owners = {"title": "a"}, [as_json(*kept.revisions)], {}
    assert unpack_product(orjson.dumps([fields, revisions, 0, owners], default=list)) == StoredProduct(
        kept, Embedding(read=False), None
    )


def test_what_an_earlier_version_stored_as_json_is_what_it_was():
    kept = document(change("upsert", 3, title="a", sizes=["S"]), change("patch", 5, price=1.5))
    whole, patch = kept.revisions
    fields, revisions = {"title": "a", "sizes": ["S"], "price": 1.5}, [as_json(whole), [*as_json(patch), 7]]
    read = unpack_product(
        orjson.dumps([fields, revisions, 0, {"price": 1}, [0], "old", "f" * 16], default=list)
    )
    assert read.document == replace(kept, revisions=(whole, replace(patch, timeline=7)))
    assert (read.whole, read.embedding) == (frozenset({0}), Embedding("old", "f" * 16, read=False))


def as_json(one: Revision) -> list[object]:
    """Return a revision of the first timeline as it was written down in JSON."""
    names = ("line", "version", "appended", "digest", "partial", "op", "fields", "replaces", "kept")
    return [getattr(one, name) for name in names]


def copied(text: str) -> str:
    """Return an equal text that is another object, as one that was read from Redis is."""
    return text.encode().decode()


@pytest.mark.parametrize(
    ("content_hash", "fingerprint", "serves"),
    [
        ("old", embedding().fingerprint, True),
        ("zzz", embedding().fingerprint, False),
        ("aaa", embedding().fingerprint, False),
        ("old", "e" * 16, False),
    ],
)
def test_an_embedding_serves_its_own_text_and_model_only(content_hash, fingerprint, serves):
    assert embedding().serves(copied(content_hash), copied(fingerprint)) is serves


def test_passages_keep_their_order():
    assert passages_of([[0, 3], [2, 9]]) == (Passage(start=0, end=3), Passage(start=2, end=9))
