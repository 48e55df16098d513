"""Verification folds the log by itself, and says in words what differs."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from msgspec.structs import replace

from schemas.base import milliseconds
from schemas.search import SearchEvent, SearchQuery
from services.embedder.settings import EmbedderSettings
from services.lab.verification.catalogue import ExpectedCatalogue
from services.lab.verification.conservation import lines, read_balances
from services.lab.verification.judgements import Shopping
from services.lab.verification.letters import Letters
from services.lab.verification.verdict import VerificationResult, retention_gaps, settled
from shared.catalogue.acceptances import Accepted
from shared.errors import PoisonError
from shared.records import Partition, Record
from shared.schema_registry.deserializer import BatchSchemas, Unusable
from shared.streaming.dead_letters import headers

AT = Partition("catalogue.changes.v1", 0)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def change(offset: int, product: str, op: str, version: int, partition: Partition = AT, **fields) -> Record:
    value = orjson.dumps({"product_id": product, "op": op, "version": version, "fields": fields})
    return Record(partition, offset, product.encode(), value, NOON)


def fold(*records: Record) -> ExpectedCatalogue:
    catalogue = ExpectedCatalogue(EmbedderSettings())
    for record in records:
        catalogue.take(record)
    return catalogue


def test_the_log_is_folded_whatever_the_order_and_how_often():
    one = [
        change(0, "p", "upsert", 1, title="Lamp", price=3),
        change(1, "p", "patch", 2, price=4),
        change(2, "q", "upsert", 1, title="Sofa"),
        change(3, "q", "delete", 2),
    ]
    documents = fold(*one).documents
    assert fold(*reversed(one), *one).documents == documents
    assert documents.keys() == {"p"}
    assert documents["p"].fields == {"title": "Lamp", "price": 4}


def test_a_product_written_in_two_partitions_is_one_product():
    other = AT._replace(number=1)
    catalogue = fold(change(0, "p", "upsert", 1, title="a"), change(0, "p", "patch", 2, other, price=1))
    assert catalogue.documents["p"].fields == {"title": "a", "price": 1}


def test_once_a_source_is_accepted_the_log_is_folded_anew_by_that():
    new, restored = change(0, "p", "upsert", 9, title="new"), change(1, "p", "upsert", 3, title="restored")
    restored = replace(restored, timestamp=NOON + timedelta(seconds=1))
    catalogue = fold(new, restored)
    assert catalogue.documents["p"].fields == {"title": "new"}
    catalogue.begin(frozenset({Accepted("version", milliseconds(restored.timestamp))}))
    assert (catalogue.changes, catalogue.documents) == (0, {})
    for record in (restored, new):
        catalogue.take(record)
    assert catalogue.documents["p"].fields == {"title": "restored"}


def test_what_a_schema_explains_is_folded_too_and_what_it_cannot_is_a_letter():
    framed = Record(
        AT, 0, b"p", b"\0\0\0\0\1" + (change(0, "p", "upsert", 1, title="Lamp").value or b""), NOON
    )
    lost = Record(AT, 1, b"q", b"\0\0\0\0\2", NOON)
    unknown = Unusable("schema.unknown", "nobody has it")
    catalogue = ExpectedCatalogue(EmbedderSettings())
    for record in (framed, lost):
        catalogue.take(record, BatchSchemas({1: bytes, 2: unknown}))
    assert catalogue.documents["p"].fields == {"title": "Lamp"}
    assert [reason for _, reason in catalogue.letters.refused.values()] == ["schema.unknown"]


def test_an_event_that_a_schema_explains_counts():
    event = orjson.dumps({"action_name": "click", "timestamp": NOON.isoformat(), "query_id": "Q"})
    shopping = Shopping()
    at = Partition(SearchEvent.topic, 0)
    for offset, value in enumerate((b"\0\0\0\0\1" + event, b"\0\0\0\0\1{")):
        shopping.take(Record(at, offset, None, value, NOON), BatchSchemas({1: bytes}))
    assert [message.message.action_name for message in shopping.events] == ["click"]
    assert [reason for _, reason in shopping.letters.refused.values()] == ["json.invalid"]


def letter(record: Record, reason: str, **changed) -> Record:
    said = headers(record, PoisonError(reason, "it cannot be used"), reader="embedder-g1", by=Record)
    value = changed.get("value", record.value)
    return Record(Partition(f"{AT.topic}.dlq", 0), 0, record.key, value, NOON, said)


BAD = Record(AT, 5, b"p", b"{", NOON, (("ce_id", b"e"),))


def told(*letters: Record) -> list[str]:
    catalogue = fold(BAD)
    for each in letters:
        catalogue.letters.take(each)
    return list(catalogue.letters.differences({AT: 0}))


def test_a_dead_letter_must_be_there_and_be_the_message():
    assert told(letter(BAD, "json.invalid")) == []
    assert "no dead letter says so" in told()[0]
    assert "byte for byte" in told(letter(BAD, "json.invalid", value=b"}"))[0]
    assert "the reason is 'json.invalid'" in told(letter(BAD, "id.missing"))[0]


def test_a_letter_of_a_message_that_can_be_used_is_a_difference_and_a_second_copy_is_none():
    good = change(6, "p", "delete", 1)
    assert "although it can be used" in told(letter(BAD, "json.invalid"), letter(good, "id.missing"))[0]
    letters = Letters()
    letters.refuse(BAD, "json.invalid")
    letters.take(letter(BAD, "json.invalid"))
    letters.take(letter(BAD, "json.invalid"))
    assert (letters.again, list(letters.differences({AT: 0}))) == (1, [])


def test_what_retention_removed_is_said():
    assert retention_gaps({AT: 0}) == []
    assert "first 3 messages are gone" in retention_gaps({AT: 3})[0]


def test_counters_of_all_partitions_are_added_up():
    exposition = (
        "# TYPE headrace_consumed_total counter\n"
        'headrace_consumed_total{topic="t",partition="0"} 5.0\n'
        'headrace_consumed_total{topic="t",partition="1"} 4.0\n'
        "# TYPE headrace_applied_total counter\n"
        'headrace_applied_total{topic="t",partition="0"} 5.0\n'
        "# TYPE headrace_dead_lettered_total counter\n"
        'headrace_dead_lettered_total{topic="t",partition="1",reason="json.invalid"} 3.0\n'
    )
    (found,) = read_balances("embedder", exposition)
    assert (found.consumed, found.applied, found.no_op, found.dead_lettered, found.even) == (
        9,
        5,
        0,
        3,
        False,
    )
    assert lines([found]) == ["embedder, t: 9 read ≠ 5 applied + 0 without effect + 3 dead-lettered"]


@pytest.mark.parametrize(("wait", "looks"), [(0, 1), (60, 3)])
async def test_it_looks_again_until_there_is_no_difference(wait, looks, monkeypatch):
    monkeypatch.setattr("services.lab.verification.verdict.LOOK_AGAIN", timedelta())
    seen = 0

    async def look() -> VerificationResult:
        nonlocal seen
        seen += 1
        return VerificationResult(["differs"] if seen < 3 else [], {})

    await settled(look, timedelta(seconds=wait))
    assert seen == looks


def test_a_query_and_an_event_are_what_shoppers_are_told_from():
    from services.lab.verification.judgements import Shopping  # noqa: PLC0415

    shopping = Shopping()
    query = SearchQuery(query_id="q", user_query="lamp", timestamp=NOON)
    event = SearchEvent(action_name="click", query_id="q", timestamp=NOON)
    for offset, message in enumerate((query, event)):
        shopping.take(Record(Partition(message.topic, 0), offset, b"q", message.encode(), NOON))
    shopping.take(Record(Partition(SearchEvent.topic, 0), 2, b"q", b"{", NOON))
    assert (len(shopping.queries), len(shopping.events), len(shopping.letters.refused)) == (1, 1, 1)
