"""What `verify index` finds: a missing product, a phantom, an older version, a forged field or vector."""

import hashlib
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import Coordinates
from schemas.catalogue import Document
from schemas.index import IndexRecord, Passage
from services.embedder.settings import EmbedderSettings
from services.lab.verification.catalogue import ExpectedCatalogue
from services.lab.verification.index import IndexReplay, product_differences
from shared.catalogue.summaries import summaries
from shared.records import Partition, Record
from tests.stamped import written

CHANGES, RECORDS = Partition("catalogue.changes.v1", 0), Partition("index.records.g1", 0)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SETTINGS = EmbedderSettings()


def change(offset: int, product: str, op: str = "upsert", version: int = 1, **fields) -> Record:
    value = orjson.dumps({"product_id": product, "op": op, "version": version, "fields": fields})
    return Record(CHANGES, offset, product.encode(), value, NOON)


def expected(*changes: Record) -> ExpectedCatalogue:
    catalogue = ExpectedCatalogue(SETTINGS)
    for each in changes:
        catalogue.take(each)
    return catalogue


def index_record(
    product: str, document: Document, *, offset: int = 0, epoch: int = 1, vector: bytes = b"\1\2"
) -> Record:
    text = str(document.fields.get("title", ""))
    message = IndexRecord(
        product_id=product,
        document=document,
        text=text,
        content_hash=expected().content_hash(document),
        fingerprint="0" * 16,
        dimensions=1,
        vectors=vector,
        passages=(Passage(start=0, end=len(text)),),
        source=Coordinates(topic=CHANGES.topic, partition=0, offset=offset),
        epoch=epoch,
        event_time=NOON,
    )
    return Record(RECORDS, offset, message.key(), message.encode(), NOON)


def served(product: str, document: Document, *, vector: bytes = b"\1\2") -> dict:
    text = str(document.fields.get("title", ""))
    return {
        "product_id": product,
        "fields": dict(document.fields),
        "revisions": summaries(document),
        "content_hash": expected().content_hash(document),
        "passages": [[0, len(text)]],
        "vectors_sha256": hashlib.sha256(vector).hexdigest(),
    }


@pytest.fixture
def shop():
    """Give a catalogue of two products, its index records, and what an honest index serves."""
    catalogue = expected(
        change(0, "p", version=1, title="Lamp", price=3),
        change(1, "p", "patch", 2, price=4),
        change(2, "q", version=1, title="Sofa"),
        change(3, "gone", version=1, title="Chair"),
        change(4, "gone", "delete", 2),
    )
    replay = IndexReplay()
    for offset, (product, document) in enumerate(catalogue.documents.items()):
        replay.take(index_record(product, document, offset=offset))
    live = {product: served(product, document) for product, document in catalogue.documents.items()}
    return catalogue, replay, live


def differences(shop) -> list[str]:
    return list(product_differences(*shop))


def test_an_honest_index_has_no_difference(shop) -> None:
    assert set(shop[2]) == {"p", "q"}
    assert differences(shop) == []


def test_a_missing_product_is_found(shop) -> None:
    del shop[2]["q"]
    assert differences(shop) == ["product q: in the catalogue, not in the index"]


def test_a_phantom_is_found_whether_it_was_deleted_or_never_written(shop) -> None:
    live = shop[2]
    live["gone"] = served("gone", written({"title": "Chair"}))
    live["phantom"] = live["gone"] | {"product_id": "phantom"}
    assert differences(shop) == [
        "product gone: in the index, not in the catalogue",
        "product gone: served, without an index record",
        "product phantom: in the index, not in the catalogue",
        "product phantom: served, without an index record",
    ]


def test_an_older_price_is_found_with_both_values(shop) -> None:
    shop[2]["p"]["fields"]["price"] = 3
    assert "product p: price is 3, its changes say 4" in differences(shop)


def test_an_older_version_of_the_same_value_is_found(shop) -> None:
    shop[2]["p"]["revisions"][1]["version"] = [1]
    assert differences(shop) == ["product p: it does not know the patch of version version [2]"]


def test_a_field_too_few_or_too_many_is_found(shop) -> None:
    del shop[2]["p"]["fields"]["price"]
    shop[2]["q"]["fields"]["color"] = "teal"
    assert differences(shop) == [
        "product p: price is absent, its changes say 4",
        'product q: color is "teal", its changes say absent',
    ]


def test_a_product_of_one_change_more_is_found(shop) -> None:
    shop[2]["q"]["revisions"].append(shop[2]["q"]["revisions"][0] | {"version": [9]})
    assert differences(shop) == ["product q: it is the merge of 2 changes, not 1"]


def test_what_an_earlier_release_indexed_is_compared_by_what_it_says(shop) -> None:
    del shop[2]["q"]["revisions"]
    assert differences(shop) == []


def test_a_vector_of_another_text_is_found(shop) -> None:
    shop[2]["q"]["content_hash"] = "0" * 16
    [of_text, of_record] = differences(shop)
    assert of_text.startswith(f"product q: embedded from a text of hash {'0' * 16}, its text has ")
    assert of_record == "product q: its content hash is not that of its last index record"


def test_other_vectors_or_passages_than_were_written_are_found(shop) -> None:
    shop[2]["p"]["vectors_sha256"] = "f" * 64
    shop[2]["q"]["passages"] = [[0, 1]]
    assert differences(shop) == [
        "product p: its vectors are not those of its last index record",
        "product q: its passages are not those of its last index record",
    ]


@given(
    st.sampled_from(["fields", "revisions", "content_hash", "passages", "vectors_sha256"]),
    st.sampled_from(["p", "q"]),
)
def test_whatever_is_tampered_with_is_found(what: str, product: str) -> None:
    catalogue = expected(change(0, "p", title="Lamp", price=3), change(1, "q", title="Sofa"))
    replay, live = IndexReplay(), {}
    for offset, (name, document) in enumerate(catalogue.documents.items()):
        replay.take(index_record(name, document, offset=offset))
        live[name] = served(name, document)
    other: dict[str, object] = {"fields": {"title": "x"}, "revisions": [], "passages": [[3, 4]]}
    live[product][what] = other.get(what, "e" * 64)
    found = list(product_differences(catalogue, replay, live))
    assert found
    assert all(each.startswith(f"product {product}: ") for each in found)


def test_of_two_records_of_a_product_the_newer_counts_in_whatever_order_they_are_read() -> None:
    document = written({"title": "Lamp"})
    old = index_record("p", document, offset=1, vector=b"\1\1")
    new = index_record("p", document, offset=2, epoch=2, vector=b"\2\2")
    digests = set()
    for order in ((old, new), (new, old), (old, new, old)):
        replay = IndexReplay()
        for record in order:
            replay.take(record)
        assert replay.read == len(order)
        last = replay.last["p"]
        assert last is not None
        digests.add(last.vectors_sha256)
    assert digests == {hashlib.sha256(b"\2\2").hexdigest()}


def test_a_tombstone_takes_a_product_out() -> None:
    replay = IndexReplay()
    replay.take(Record(RECORDS, 0, b"p", None, NOON))
    assert replay.last == {"p": None}


def test_a_change_that_cannot_be_used_is_expected_among_the_dead_letters() -> None:
    catalogue = expected(change(0, "p", title="Lamp"), Record(CHANGES, 1, b"q", b"{", NOON))
    assert (catalogue.changes, set(catalogue.documents)) == (2, {"p"})
    [missing] = catalogue.letters.differences({CHANGES: 0})
    assert "json.invalid" in missing
    assert list(catalogue.letters.differences({CHANGES: 2})) == [], "the message itself is gone"


@given(
    st.lists(
        st.tuples(st.sampled_from("pq"), st.sampled_from(["upsert", "patch", "delete"]), st.integers(1, 5)),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_the_catalogue_is_the_same_in_whatever_order_its_changes_are_read(writes, rng) -> None:
    changes = [
        change(offset, product, op, version, **({"title": f"{op} {version}"} if op != "delete" else {}))
        for offset, (product, op, version) in enumerate(writes)
    ]
    shuffled = [*changes, *changes]
    rng.shuffle(shuffled)
    assert expected(*shuffled).documents.keys() == expected(*changes).documents.keys()
