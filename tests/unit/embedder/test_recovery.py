"""The state that index records prove: what they know together, and where reading resumes."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.index import IndexRecord
from services.embedder.domain.recovery import Proven, Published, StateRecovery, raise_to
from services.embedder.domain.state import StoredProduct
from shared.catalogue.documents import absorb
from shared.errors import FatalError

from .samples import TOPIC, change, document, record

FORWARDED = f"{TOPIC}.repartition"


def published(one: IndexRecord, **applied: int) -> Published:
    return Published(one.encode(), orjson.dumps({log: [place] for log, place in applied.items()}))


def recovered(*records: IndexRecord) -> tuple[StateRecovery, dict[str, StoredProduct]]:
    recovery, products = StateRecovery(), {}
    for one in records:
        taken = recovery.take(published(one))
        products[taken.product_id] = recovery.join(taken, products.get(taken.product_id))
    return recovery, products


def says(one: IndexRecord, *changes: object) -> IndexRecord:
    return one.model_copy(update={"document": document(*changes)})


WHOLE, PRICE = change("upsert", 1, title="lamp"), change("patch", 2, price=5)


def test_a_record_gives_its_product_with_its_vectors():
    recovery, products = recovered(record(4))
    assert products["p"].document == record(4).document
    assert products["p"].embedding.content_hash == "hash of lamp"
    assert products["p"].embedding.vectors == record(4).vectors
    assert (recovery.incomplete, recovery.records) == ({}, 1)


def test_reading_of_each_log_resumes_where_the_highest_batch_began():
    recovery = StateRecovery()
    for applied in ({TOPIC: 0}, {TOPIC: 8, FORWARDED: 1}, {TOPIC: 4, FORWARDED: 3}, {}):
        recovery.take(published(record(1), **applied))
    assert recovery.offsets == {TOPIC: Proven(8), FORWARDED: Proven(3)}


def test_what_was_proven_of_a_topic_that_was_made_anew_counts_although_it_is_less():
    offsets = {TOPIC: Proven(8, "one")}
    raise_to(offsets, {TOPIC: Proven(2, "two")})
    raise_to(offsets, {TOPIC: Proven(1, "two")})
    assert offsets == {TOPIC: Proven(2, "two")}


def test_without_records_there_is_nothing_to_resume_from():
    assert (StateRecovery().offsets, StateRecovery().epoch) == ({}, 0)


def test_a_record_of_an_earlier_version_proves_nothing():
    recovery = StateRecovery()
    recovery.take(Published(record(4).encode()))
    assert (recovery.offsets, recovery.records) == ({}, 1)
    recovery.take(published(record(5), **{TOPIC: 3}))
    recovery.take(Published(record(6).encode()))
    assert recovery.offsets == {TOPIC: Proven(3)}


def test_the_highest_epoch_is_remembered_for_the_next_owner():
    recovery, _ = recovered(*(record(epoch, epoch=epoch, product_id=f"p{epoch}") for epoch in (3, 7, 5)))
    assert recovery.epoch == 7


def test_a_record_that_says_all_that_was_said_before_needs_nothing():
    recovery, products = recovered(says(record(1), WHOLE), says(record(2), WHOLE, PRICE))
    assert products["p"].document.fields == {"title": "lamp", "price": 5}
    assert recovery.incomplete == {}


@pytest.mark.parametrize("epochs", [(1, 2), (1, 1), (2, 1)])
def test_two_halves_are_made_one_product_that_must_be_published(epochs):
    halves = [says(record(1, epoch=epoch), one) for epoch, one in zip(epochs, (WHOLE, PRICE), strict=True)]
    recovery, products = recovered(*halves)
    assert products["p"].document.fields == {"title": "lamp", "price": 5}
    assert recovery.incomplete.keys() == {"p"}


def test_what_a_former_owner_wrote_later_and_its_successor_knows_needs_nothing():
    recovery, _ = recovered(says(record(2, epoch=2), WHOLE, PRICE), says(record(1, epoch=1), WHOLE))
    assert recovery.incomplete == {}


def test_what_no_record_of_this_epoch_says_whole_is_unsettled():
    recovery, _ = recovered(
        says(record(1, epoch=2), WHOLE),
        says(record(2, epoch=2), PRICE),
        record(3, epoch=2, product_id="q"),
        record(4, epoch=1, product_id="r"),
    )
    assert recovery.unsettled(2).keys() == {"p", "r"}
    assert recovery.unsettled(3).keys() == {"p", "q", "r"}


CHANGES = [change("upsert", version, title=f"t{version}") for version in range(3)] + [
    change("patch", version, price=version) for version in range(3)
]


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.sets(st.sampled_from(range(6)), min_size=1)), min_size=1, max_size=6
    )
)
def test_whatever_records_there_are_the_product_is_their_join_and_published_if_no_record_says_so(log):
    records = [says(record(1, epoch=epoch), *(CHANGES[n] for n in sorted(known))) for epoch, known in log]
    recovery, products = recovered(*records)
    truth = document(*(CHANGES[n] for n in sorted(set().union(*(known for _, known in log)))))
    assert absorb(products["p"].document, truth) is products["p"].document
    assert absorb(truth, products["p"].document) is truth
    highest = max(epoch for epoch, _ in log)
    [*_, counts] = [one for one in records if one.epoch == highest]
    complete = absorb(counts.document, truth) is counts.document
    assert complete or recovery.incomplete.keys() == {"p"}


def test_a_record_that_cannot_be_read_stops_the_worker():
    broken = record(4).as_json().replace(b'"dimensions":2', b'"dimensions":0')
    with pytest.raises(FatalError, match="an index record cannot be read"):
        StateRecovery().take(Published(broken))
