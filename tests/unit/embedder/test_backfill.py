"""What a new generation takes over: the last record of each product, and nothing that it already has."""

import orjson

from schemas.index import IndexRecord
from services.embedder.domain.backfill import Survey, take_over
from services.embedder.domain.recovery import Proven, Published
from services.embedder.domain.state import Embedding, StoredProduct

from .samples import TOPIC, change, document, embedding, record


def lying(one: IndexRecord, offset: int, **applied: int) -> Published:
    return Published(
        one.encode(), orjson.dumps({log: [place] for log, place in applied.items()}), offset=offset
    )


def surveyed(*records: IndexRecord) -> Survey:
    survey = Survey()
    for offset, one in enumerate(records):
        survey.note(lying(one, offset))
    return survey


def test_the_last_record_of_a_product_is_picked():
    first, last = record(1, title="old"), record(2, title="new")
    survey = surveyed(first, last)
    assert survey.pick(lying(first, 0)) is None
    assert survey.pick(lying(last, 1)) == last


def test_a_record_of_an_older_owner_that_lies_later_is_not_the_last():
    ours, zombie = record(2, epoch=5), record(9, epoch=4)
    survey = surveyed(ours, zombie)
    assert survey.pick(lying(ours, 0)) == ours
    assert survey.pick(lying(zombie, 1)) is None


def test_the_same_again_is_picked_where_it_lies_last():
    again = record(2)
    survey = surveyed(again, again)
    assert survey.pick(lying(again, 0)) is None
    assert survey.pick(lying(again, 1)) == again


def test_a_later_record_that_came_after_the_survey_is_picked_too():
    """Compaction may have removed the one that was noted, but only for this one."""
    survey = surveyed(record(2))
    later = record(7)
    assert survey.pick(lying(later, 5)) == later


def test_what_the_survey_has_not_seen_is_left_to_the_changes():
    survey = surveyed(record(2))
    assert survey.pick(lying(record(3, product_id="q"), 5)) is None


def test_parts_of_a_survey_pick_each_product_once_and_know_what_all_records_prove():
    records = [record(offset, product_id=f"p{offset}") for offset in range(40)]
    surveys = [Survey(part, 3) for part in range(3)]
    for survey in surveys:
        for offset, one in enumerate(records):
            survey.note(lying(one, offset, a=offset))
    picked = [[survey.pick(lying(one, offset)) for offset, one in enumerate(records)] for survey in surveys]
    assert all(len([one for one in by_part if one]) == 1 for by_part in zip(*picked, strict=True))
    assert all(any(by_product) for by_product in picked)
    assert all(survey.offsets == {"a": Proven(39)} for survey in surveys)
    surveys[0].forget()
    assert surveys[0].offsets == {"a": Proven(39)}


def test_each_log_is_read_from_where_the_highest_batch_began():
    survey = Survey()
    for applied in ({"a": 3}, {"a": 9, "b": 1}, {"a": 6, "b": 4}, {}):
        survey.note(lying(record(1), 0, **applied))
    assert survey.offsets == {"a": Proven(9), "b": Proven(4)}


def test_a_record_of_an_earlier_version_proves_nothing():
    survey = Survey()
    survey.note(Published(record(1).encode()))
    assert survey.offsets == {}
    survey.note(lying(record(2), 1, **{TOPIC: 7}))
    survey.note(Published(record(3).encode(), offset=2))
    assert survey.offsets == {TOPIC: Proven(7)}


def test_a_product_that_is_not_known_is_taken_over_with_the_vectors_it_had():
    taken = take_over(record(4), None)
    assert taken.document == record(4).document
    assert taken.before.embedding == Embedding(
        "hash of lamp", record(4).fingerprint, record(4).passages, record(4).vectors
    )
    assert (taken.product_id, taken.source, taken.event_time) == ("p", record(4).source, record(4).event_time)


def test_a_product_that_is_known_as_well_or_better_is_left_as_it_is():
    assert take_over(record(4), StoredProduct(record(4).document, embedding())) is None
    newer = document(change("upsert", 9, title="newer"))
    assert take_over(record(4), StoredProduct(newer, embedding())) is None


def test_one_and_true_are_two_values_of_which_one_is_taken_over():
    theirs = record(4).model_copy(update={"document": document(change("upsert", 4, stock=True))})
    ours = StoredProduct(document(change("upsert", 4, stock=1)), embedding())
    assert take_over(theirs, ours).document.fields["stock"] is True


def test_what_both_know_in_part_is_joined_and_keeps_the_vectors_of_this_generation():
    known = StoredProduct(document(change("patch", 9, price=5)), embedding())
    taken = take_over(record(4), known)
    assert taken.document.fields == {"title": "lamp", "price": 5}
    assert taken.before.embedding == embedding()
    assert taken.source == record(4).source
