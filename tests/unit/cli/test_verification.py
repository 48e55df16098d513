"""Verification folds the log by itself, and says in words what differs."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from schemas.search import SearchEvent, SearchQuery
from services.cli.verification.catalogue import Catalogue
from services.cli.verification.conservation import lines, read_balances
from services.cli.verification.letters import Letters
from services.cli.verification.verdict import Verdict, retention_gaps, settled
from services.embedder.settings import EmbedderSettings
from shared.dead_letters import headers
from shared.errors import PoisonError
from shared.records import Partition, Record

AT = Partition("catalogue.changes.v1", 0)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def change(offset: int, product: str, op: str, version: int, partition: Partition = AT, **fields) -> Record:
    value = orjson.dumps({"product_id": product, "op": op, "version": version, "fields": fields})
    return Record(partition, offset, product.encode(), value, NOON)


def fold(*records: Record) -> Catalogue:
    catalogue = Catalogue(EmbedderSettings())
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


def test_a_product_written_in_two_partitions_is_merged_and_said():
    other = AT._replace(number=1)
    catalogue = fold(change(0, "p", "upsert", 1, title="a"), change(0, "p", "patch", 2, other, price=1))
    assert catalogue.torn == 1
    assert catalogue.documents["p"].fields == {"title": "a", "price": 1}


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
    monkeypatch.setattr("services.cli.verification.verdict.LOOK_AGAIN", timedelta())
    seen = 0

    async def look() -> Verdict:
        nonlocal seen
        seen += 1
        return Verdict(["differs"] if seen < 3 else [], {})

    await settled(look, timedelta(seconds=wait))
    assert seen == looks


def test_a_query_and_an_event_are_what_shoppers_are_told_from():
    from services.cli.verification.judgements import Shopping  # noqa: PLC0415

    shopping = Shopping()
    query = SearchQuery(query_id="q", user_query="lamp", timestamp=NOON)
    event = SearchEvent(action_name="click", query_id="q", timestamp=NOON)
    for offset, message in enumerate((query, event)):
        shopping.take(Record(Partition(message.topic, 0), offset, b"q", message.encode(), NOON))
    shopping.take(Record(Partition(SearchEvent.topic, 0), 2, b"q", b"{", NOON))
    assert (len(shopping.queries), len(shopping.events), len(shopping.letters.refused)) == (1, 1, 1)
