"""What was left out of a message, or looks wrong in it, as a message of its own."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.base import MAX_TEXT_BYTES
from schemas.findings import MOST
from shared.catalogue.changes import reading_of, usual_product
from shared.catalogue.findings import findings_of
from shared.records import Partition, Record

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT = Partition("catalogue.changes.v1", 2)


def record(fields: dict[str, Any]) -> Record:
    value = json.dumps({"product_id": "P-1", "op": "upsert", "fields": fields}).encode()
    return Record(AT, 7, None, value, NOW)


def test_a_message_of_which_all_was_taken_has_no_findings():
    whole = record({"title": "Shoe"})
    assert findings_of(whole, reading_of(whole)) is None


def test_findings_say_where_the_message_lay_and_what_was_left_out_of_it():
    partial = record({"title": "Shoe", "ean": 2**70})
    message = findings_of(partial, reading_of(partial))
    assert message is not None
    assert (message.product_id, message.source, message.time) == ("P-1", partial.coordinates, NOW)
    assert [(finding.attribute, finding.reason) for finding in message.findings] == [
        ("ean", "field.number_too_large")
    ]
    assert "64 bits" in message.findings[0].explanation


def test_of_many_findings_the_first_are_named_and_all_are_counted():
    wide = record({f"spec {number}": number for number in range(1000)})
    message = findings_of(wide, reading_of(wide))
    assert message is not None
    assert (len(message.findings), message.total) == (MOST, 900)
    assert len(message.encode()) < 32 * 1024


def test_an_attribute_that_was_cut_is_a_finding() -> None:
    long = record({"title": "Shoe", "text": "x" * (MAX_TEXT_BYTES + 1)})
    message = findings_of(long, reading_of(long))
    assert message is not None
    assert [(finding.attribute, finding.reason) for finding in message.findings] == [("text", "field.cut")]


@pytest.mark.parametrize(
    ("price", "told"),
    [
        ("cheap", "'cheap'"),
        ("99.50", "'99.50'"),
        ([10, "on request"], "'on request'"),
        ("x" * 90, f"'{'x' * 40}…'"),
    ],
)
def test_a_text_where_a_number_should_be_is_a_finding(price: Any, told: str) -> None:
    priced = record({"title": "Shoe", "price": price})
    assert usual_product(priced, ("price",)) is None, "it is read whole"
    message = findings_of(priced, reading_of(priced), ("price", "weight"))
    assert message is not None
    [finding] = message.findings
    assert (finding.attribute, finding.reason) == ("price", "number.expected")
    assert finding.explanation.startswith(f"{told} is a text, which no filter by number finds")


@pytest.mark.parametrize("price", [9.5, 10, True, None, [], [1, 2]])
def test_a_number_or_nothing_where_a_number_should_be_is_no_finding(price: Any) -> None:
    priced = record({"title": "Shoe", "price": price})
    assert findings_of(priced, reading_of(priced), ("price",)) is None
    assert usual_product(priced) == "P-1"
