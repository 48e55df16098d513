"""What a real Debezium wrote (tests/data/debezium/README.md) is read as the plain JSON of the same fact."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.catalogue import StampedChange
from schemas.wire import SkippedMessage, read_change
from tests.stamped import said

SAMPLES = Path(__file__).parents[2] / "data" / "debezium"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHOE = {
    "title": "Red running shoe",
    "description": "Light, with a grippy sole.",
    "brand": "Acme",
    "price": 79.9,
    "weight": 0.285,
    "stock": 12,
    "ean": 4006381333931,
    "rating": 4.5,
    "active": True,
    "tags": ["shoes", "women"],
    "sizes": [38, 39, 40],
    "prices": [79.9, 69.9],
    "released": "2026-03-01Z",
    "made_at": "2026-02-03T04:05:06.789Z",
    "updated_at": "2026-03-01T07:30:00.000000Z",
}
NOTHING = dict.fromkeys(SHOE)
JACKET = {
    "title": "Blue rain jacket",
    "brand": "Wetter",
    "price": -0.01,
    "weight": 1234567890.1234567,
    "stock": 0,
    "ean": -1,
    "rating": 0.0,
    "active": False,
    "tags": [],
    "sizes": [],
    "prices": [],
    "released": "1999-12-31Z",
    "made_at": "1969-12-31T23:59:59.999Z",
    "updated_at": "2026-11-21T12:00:00.123456Z",
}
CHEAPER = {**SHOE, "price": 69.9, "stock": 11}
GLASSES = {**NOTHING, "title": 'Gläser „Köln", 6 Stück 🥂'}
CAP = {**NOTHING, "title": "Cap", "price": 99999999.99}

KEPT = object()
"""A value that is too long to come with every update of its row."""

FACTS: dict[str, list[tuple[str, str, dict[str, Any]] | None]] = {
    "offers": [
        ("upsert", "7:A/1", {"shop": 7, "sku": "A/1", "price": 5.0}),
        ("upsert", "7:A/1", {"shop": 7, "sku": "A/1", "price": 4.5}),
        None,  # the truncate
    ],
    "products": [
        ("upsert", "P-1", SHOE),
        ("upsert", "P-2", GLASSES),
        ("upsert", "P-3", {**JACKET, "description": "Keeps you dry. " * 400}),
        ("upsert", "P-1", CHEAPER),
        ("upsert", "P-3", {**JACKET, "price": 119.0, "description": KEPT}),
        ("upsert", "P-1", {**CHEAPER, "brand": None, "tags": ["sale", "shoes"]}),
        ("delete", "P-2", {}),
        ("delete", "P-2", {}),
        ("upsert", "P-4", GLASSES),
        ("delete", "P-4", {}),
        ("delete", "P-4", {}),
        ("upsert", "P-5", CAP),
        ("upsert", "P-5", {**CAP, "title": "Wool cap"}),
        ("delete", "P-5", {}),
        ("delete", "P-5", {}),
    ],
}


def records(variant: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLES / f"{variant}.jsonl").read_text().splitlines()]


def decode(record: dict[str, Any]) -> StampedChange:
    return read_change(
        key=None if record["key"] is None else record["key"].encode(),
        value=None if record["value"] is None else record["value"].encode(),
        headers=[(name, value.encode()) for name, value in record["headers"]],
        timestamp=EPOCH + timedelta(milliseconds=record["timestamp"]),
        offset=record["offset"],
    ).change


def fact(record: dict[str, Any]) -> tuple[str, str, dict[str, Any]] | None:
    return FACTS[record["topic"].rpartition(".")[2]][record["offset"]]


def as_plain_json(record: dict[str, Any], stated: tuple[str, str, dict[str, Any]]) -> StampedChange:
    """Decode the same fact in our own form, with Debezium's position and time (none in a tombstone)."""
    op, product_id, fields = stated
    kept = [name for name, value in fields.items() if value is KEPT]
    fields = {name: value for name, value in fields.items() if value is not KEPT}
    message: dict[str, Any] = {"product_id": product_id, "op": op, "fields": fields, "version": 0}
    message["kept"] = kept
    if record["value"] is not None:
        payload = json.loads(record["value"])
        source = payload.get("payload", payload)["source"]
        message |= {"event_time": source["ts_ms"]}
    plain = {**record, "key": product_id, "value": json.dumps(message), "headers": []}
    return decode(plain)


@pytest.mark.parametrize("variant", ["schema_readable", "plain_readable"])
def test_each_event_is_the_same_change_as_its_plain_json(variant: str):
    for record in records(variant):
        stated = fact(record)
        if stated is not None:
            assert said(decode(record)) == said(as_plain_json(record, stated))


@pytest.mark.parametrize("variant", ["schema_readable", "plain_readable", "schema_default", "plain_default"])
def test_a_truncate_is_skipped_and_says_where_it_was(variant: str):
    truncates = [record for record in records(variant) if fact(record) is None]
    assert len(truncates) == 1
    with pytest.raises(SkippedMessage, match="truncate") as skipped:
        decode(truncates[0])
    assert skipped.value.source is not None
    assert skipped.value.source["table"] == "offers"


def test_with_the_wrapper_the_connectors_default_modes_give_numbers_and_iso_times_too():
    for record in records("schema_default"):
        stated = fact(record)
        if stated is not None:
            op, product_id, fields = stated
            if fields.get("released"):
                fields = {**fields, "released": fields["released"].removesuffix("Z")}
            assert said(decode(record)) == said(as_plain_json(record, (op, product_id, fields)))


def test_without_the_wrapper_default_modes_leave_some_values_as_they_came():
    """Nothing on the wire says that this text is a decimal; hence the README's connector settings."""
    first = next(record for record in records("plain_default") if fact(record) == ("upsert", "P-1", SHOE))
    assert decode(first).fields["price"] == "HzY="
    assert decode(first).fields["made_at"] == 1770091506789
    assert decode(first).fields["weight"] == 0.285  # a decimal that brings its scale can be nothing else


def test_positions_order_the_changes_of_each_product():
    for variant in ("schema_readable", "plain_default"):
        highest: dict[str, tuple[int, ...]] = {}
        for record in records(variant):
            if record["value"] is not None and fact(record) is not None:
                change = decode(record)
                assert change.stamp.version > highest.get(change.product_id, ())
                highest[change.product_id] = change.stamp.version
