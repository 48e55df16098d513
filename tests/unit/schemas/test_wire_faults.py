"""Every form with every fault that it can have: the reason does not depend on the form."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import MAX_ATTRIBUTES, MAX_DEPTH, MAX_MESSAGE_BYTES, MAX_VERSION
from schemas.catalogue import ProductChange
from schemas.wire import REASONS, DecodedChange, WireError, decode_event, decode_query, read_change
from tests.data.forms import Wire
from tests.data.left_out import Unusable, unusable
from tests.data.poison import poison
from tests.stamped import said

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
Parts = dict[str, Any]
PARTS: Parts = {
    "id": "P-1",
    "op": "upsert",
    "version": 7,
    "time": 1_767_225_601_000,
    "fields": {"title": "Shoe"},
}
"""What every form can state, each in its own place; a part that is left out is not stated."""


def named(parts: Parts, **names: str) -> Parts:
    """Return the parts that are stated, under the form's names."""
    return {name: parts[part] for part, name in names.items() if part in parts}


def plain(parts: Parts) -> Wire:
    names = {"id": "product_id", "op": "op", "version": "version", "time": "event_time", "fields": "fields"}
    return Wire(None, json.dumps(named(parts, **names)).encode())


def opensearch(parts: Parts) -> Wire:
    op = {"upsert": "index", "patch": "update"}
    parts = {**parts, "op": op.get(parts["op"], parts["op"])} if isinstance(parts.get("op"), str) else parts
    message = named(parts, id="_id", op="_op_type", version="_version", fields="_source")
    return Wire(None, json.dumps(message).encode())


def row(parts: Parts) -> Parts:
    op = {"upsert": "c", "patch": "u", "delete": "d"}
    fields = parts.get("fields")
    image = {**fields, **named(parts, id="id")} if isinstance(fields, dict) else fields
    event = {"op": parts.get("op"), "source": named(parts, version="lsn", time="ts_ms"), "after": image}
    if isinstance(event["op"], str):
        event["op"] = op.get(event["op"], event["op"])
    return {**event, "before": named(parts, id="id")} if event["op"] == "d" else event


def debezium(parts: Parts) -> Wire:
    return Wire(None, json.dumps(row(parts)).encode())


def wrapped(parts: Parts) -> Wire:
    return Wire(None, json.dumps({"schema": None, "payload": row(parts)}).encode())


def attributes(parts: Parts) -> Parts:
    kind = f"shop.product.{'deleted' if parts.get('op') == 'delete' else 'upserted'}"
    stated = named(parts, id="subject", version="version")
    if "time" in parts:
        stated["time"] = "2026-01-01T00:00:01Z" if parts["time"] == PARTS["time"] else parts["time"]
    return {"specversion": "1.0", "id": "e-1", "source": "/shop", "type": kind, **stated}


def structured(parts: Parts) -> Wire:
    return Wire(None, json.dumps({**attributes(parts), "data": parts.get("fields")}).encode())


def binary(parts: Parts) -> Wire:
    headers = tuple((f"ce_{name}", str(text).encode()) for name, text in attributes(parts).items())
    return Wire(None, json.dumps(parts.get("fields")).encode(), headers)


FORMS: dict[str, Callable[[Parts], Wire]] = {
    "plain": plain,
    "opensearch": opensearch,
    "debezium": debezium,
    "wrapped": wrapped,
    "structured": structured,
    "binary": binary,
}
EVERY_FORM = pytest.mark.parametrize("form", FORMS)

FAULTS: dict[str, tuple[Parts, str]] = {
    "id of 129 characters": ({"id": "P" * 129}, "id.invalid"),
    "id of 129 bytes": ({"id": "P" + "ä" * 64}, "id.invalid"),
    "id with a control character": ({"id": "P\x851"}, "id.invalid"),
    "id with a line break": ({"id": "P-1\n"}, "id.invalid"),
    "version below zero": ({"version": -1}, "version.invalid"),
    "version in words": ({"version": "seven"}, "version.invalid"),
    "version with a fraction": ({"version": "1.5"}, "version.invalid"),
    "version of 2^63 in digits": ({"version": str(MAX_VERSION + 1)}, "version.invalid"),
    "time in words": ({"time": "soon"}, "time.invalid"),
    "too large": ({"fields": {"title": "x" * MAX_MESSAGE_BYTES}}, "message.too_large"),
}
NOT_STATED = {("opensearch", "time in words")}
"""OpenSearch's form has no time."""
POSITIONS = {"version below zero", "version in words", "version with a fraction", "version of 2^63 in digits"}
"""A position in a log is no version that its producer states: one that cannot be read orders nothing."""


@EVERY_FORM
def test_each_form_states_the_same_change(form: str) -> None:
    change = read(FORMS[form](PARTS))
    assert said(change) == said(
        ProductChange(
            product_id="P-1",
            op="upsert",
            event_time=NOW if form == "opensearch" else datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC),
            fields={"title": "Shoe"},
        )
    )
    assert change.stamp.version == (7,)


@pytest.mark.parametrize("fault", FAULTS)
@EVERY_FORM
def test_a_fault_has_its_reason_in_every_form(form: str, fault: str) -> None:
    changed, reason = FAULTS[fault]
    if (form, fault) in NOT_STATED:
        assert read(FORMS[form]({**PARTS, **changed})).event_time == NOW
        return
    if fault in POSITIONS and form in ("debezium", "wrapped"):
        assert read(FORMS[form]({**PARTS, **changed})).product_id == "P-1"
        return
    assert refusal(FORMS[form]({**PARTS, **changed})).reason == reason


@given(st.data())
def test_the_reason_of_a_fault_does_not_depend_on_what_else_is_said(data: st.DataObject) -> None:
    form, fault = data.draw(st.sampled_from(list(FORMS))), data.draw(st.sampled_from(list(FAULTS)))
    if (form, fault) in NOT_STATED or (fault in POSITIONS and form in ("debezium", "wrapped")):
        return
    changed, reason = FAULTS[fault]
    left_out = data.draw(st.sets(st.sampled_from(["version", "time"]))) - changed.keys()
    others = {"title": "Shoe", "price": 79.9, "tags": ["a", "b"]}
    parts = {**PARTS, "fields": data.draw(st.sampled_from([{"title": "Shoe"}, others])), **changed}
    assert refusal(FORMS[form]({part: parts[part] for part in parts.keys() - left_out})).reason == reason


@EVERY_FORM
def test_a_product_that_nobody_names_is_no_change(form: str) -> None:
    assert refusal(FORMS[form]({part: PARTS[part] for part in PARTS if part != "id"})).reason == "id.missing"


@pytest.mark.parametrize(
    "product_id", ["AB 123", " ", "STÜHLE-1", "ä" * 64, "靴/1", "A?b=c&d#e", "50%25-off"]
)
@EVERY_FORM
def test_an_id_is_kept_as_it_came(form: str, product_id: str) -> None:
    assert read(FORMS[form]({**PARTS, "id": product_id})).product_id == product_id


@EVERY_FORM
def test_an_id_may_be_a_whole_number(form: str) -> None:
    assert read(FORMS[form]({**PARTS, "id": 17})).product_id == "17"


@pytest.mark.parametrize("form", ["plain", "opensearch", "debezium", "wrapped"])
@pytest.mark.parametrize(
    ("op", "reason"), [(None, "op.missing"), ("replace", "op.unknown"), (1, "op.unknown"), ([], "op.unknown")]
)
def test_an_operation_that_is_none_is_refused(form: str, op: object, reason: str) -> None:
    assert refusal(FORMS[form]({**PARTS, "op": op})).reason == reason


@pytest.mark.parametrize(
    ("form", "attributes", "reason"),
    [
        ("plain", None, "fields.missing"),
        ("plain", [], "fields.invalid"),
        ("plain", "title", "fields.invalid"),
        ("opensearch", None, "fields.missing"),
        ("opensearch", 7, "fields.invalid"),
        ("debezium", None, "debezium.invalid"),
        ("debezium", [1], "debezium.invalid"),
        ("wrapped", "row", "debezium.invalid"),
        ("structured", [1], "cloudevents.invalid"),
        ("structured", "text", "cloudevents.invalid"),
        ("binary", [1], "json.not_object"),
        ("binary", None, "json.not_object"),
    ],
)
def test_attributes_that_are_no_object_are_refused(form: str, attributes: object, reason: str) -> None:
    assert refusal(FORMS[form]({**PARTS, "fields": attributes})).reason == reason


@EVERY_FORM
def test_a_delete_needs_no_attributes(form: str) -> None:
    parts = {part: PARTS[part] for part in PARTS if part != "fields"} | {"op": "delete"}
    parts |= {"fields": {}} if form == "binary" else {}
    change = read(FORMS[form](parts))
    assert (change.op, change.fields, change.product_id) == ("delete", {}, "P-1")


@pytest.mark.parametrize("sample", unusable(), ids=lambda sample: f"{sample.name[:9]!r}: {sample.value[:19]}")
@EVERY_FORM
def test_an_attribute_that_cannot_be_kept_does_not_cost_the_message(form: str, sample: Unusable) -> None:
    wire = FORMS[form]({**PARTS, "fields": {"title": "Shoe", sample.name: "UNUSABLE", "colour": "red"}})
    value = (wire.value or b"").replace(b'"UNUSABLE"', sample.value.encode())
    reading = decode(wire._replace(value=value))
    assert reading.change.fields.items() >= {"title": "Shoe", "colour": "red"}.items()
    assert sample.left_out not in reading.change.fields
    assert [(left.attribute, left.reason) for left in reading.left_out] == [(sample.left_out, sample.reason)]
    assert 10 < len(reading.left_out[0].explanation) < 400


@EVERY_FORM
def test_nesting_is_read_down_to_the_limit_wherever_it_lies(form: str) -> None:
    def nested(levels: int) -> Parts:
        inner: object = 1
        for _ in range(levels):
            inner = {"a": inner}
        return {**PARTS, "fields": inner}

    assert decode(FORMS[form](nested(MAX_DEPTH))).left_out == ()
    (left,) = decode(FORMS[form](nested(MAX_DEPTH + 1))).left_out
    assert (left.attribute, left.reason) == ("a" + ".a" * (MAX_DEPTH - 1), "json.too_deep")


@EVERY_FORM
def test_of_too_many_attributes_the_first_are_kept(form: str) -> None:
    specs = {f"spec {number:03}": number for number in range(2 * MAX_ATTRIBUTES)}
    fields = {"specs": specs, "weight": 7, "brand": {"name": "Acme"}, "title": "Shoe"}
    reading = decode(FORMS[form]({**PARTS, "fields": fields}))
    kept = {f"specs.spec {number:03}": number for number in range(MAX_ATTRIBUTES - 3)}
    attributes = {**kept, "weight": 7, "title": "Shoe"}
    assert len(reading.change.fields) == MAX_ATTRIBUTES
    assert reading.change.fields.items() >= attributes.items()
    assert {left.reason for left in reading.left_out} == {"field.too_many"}
    assert len(reading.left_out) == 2 * MAX_ATTRIBUTES + 3 - MAX_ATTRIBUTES
    assert not reading.change.fields.keys() & {left.attribute for left in reading.left_out}


def test_every_reason_that_is_documented_is_given_to_some_message_and_no_other() -> None:
    given = {bad.reason for bad in poison()} | {sample.reason for sample in unusable()}
    given |= {"field.too_many", "field.unsupported", "field.partial", "connect.invalid"}  # of attributes only
    events = {
        "message.null": None,
        "field.missing": b'{"action_name":"click"}',
        "field.too_long": json.dumps({"action_name": "x" * 101, "timestamp": 1}).encode(),
        "field.invalid": b'{"action_name":7,"timestamp":1}',
    }
    for reason, value in events.items():
        with pytest.raises(WireError) as refused:
            decode_event(value)
        assert refused.value.reason == reason
    by_schema = {"schema.unknown", "schema.invalid", "schema.mismatch"}  # tests/unit/shared/schema_registry
    assert given | events.keys() | by_schema == REASONS.keys()


def test_an_explanation_never_repeats_a_whole_message() -> None:
    long = "x" * 5_000
    for wire in (
        plain({**PARTS, "id": long}),
        plain({**PARTS, "op": long}),
        plain({**PARTS, "version": long}),
    ):
        assert len(refusal(wire).explanation) < 300
    with pytest.raises(WireError) as refused:
        decode_query(json.dumps({"query_id": [long], "user_query": {}, "timestamp": long}).encode())
    assert len(refused.value.explanation) < 600


def decode(wire: Wire) -> DecodedChange:
    return read_change(key=wire.key, value=wire.value, headers=wire.headers, timestamp=NOW, offset=1)


def read(wire: Wire) -> ProductChange:
    return decode(wire).change


def refusal(wire: Wire) -> WireError:
    with pytest.raises(WireError) as refused:
        read(wire)
    assert refused.value.reason in REASONS
    assert str(refused.value) == f"{refused.value.reason}: {refused.value.explanation}"
    return refused.value
