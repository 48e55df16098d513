"""Avro becomes the JSON that it stands for; bytes that lie cost nothing."""

import io
import json
import tracemalloc
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.wire.errors import WireError
from shared.schema_registry.readers import reader_of
from shared.schema_registry.registry import RegisteredSchema

MORNING = datetime(2026, 3, 1, 7, 30, tzinfo=UTC)
UUID_TEXT = "6f0a0b9e-9a43-4a52-8a3b-0d53be6a9d0b"
NODE = {
    "type": "record",
    "name": "Node",
    "fields": [
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "next", "type": ["null", "Node"]},
    ],
}


def encode(schema, value):
    written = io.BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(schema), value)
    return written.getvalue()


def reader(schema, **references):
    named = {name: json.dumps(text) for name, text in references.items()}
    return reader_of(RegisteredSchema("AVRO", json.dumps(schema), named))


def decode(schema, payload):
    return json.loads(reader(schema)(payload))


def record(**types):
    return {
        "type": "record",
        "name": "R",
        "fields": [{"name": name, "type": kind} for name, kind in types.items()],
    }


def logical(kind, logical_type, **more):
    return {"type": kind, "logicalType": logical_type, **more}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (logical("bytes", "decimal", precision=9, scale=2), Decimal("-12.30"), -12.3),
        (logical("bytes", "decimal", precision=9), Decimal(7), 7),
        (logical("fixed", "decimal", name="F", size=8, precision=9, scale=1), Decimal("1.5"), 1.5),
        (logical("int", "date"), date(2026, 3, 1), "2026-03-01"),
        (logical("long", "timestamp-millis"), MORNING, "2026-03-01T07:30:00.000Z"),
        (logical("long", "timestamp-micros"), MORNING, "2026-03-01T07:30:00.000000Z"),
        (logical("long", "local-timestamp-millis"), MORNING, "2026-03-01T07:30:00.000Z"),
        (logical("string", "uuid"), UUID_TEXT, UUID_TEXT),
        (logical("string", "of somebody else"), "x", "x"),
        ("float", 99.95, 99.95),
        ("double", 0.1, 0.1),
        ("long", -(2**63), -(2**63)),
        ("bytes", b"\x01\x02", "AQI="),
        (["null", "long", "string"], "x", "x"),
        ({"type": "map", "values": "int"}, {"a": 1}, {"a": 1}),
        ({"type": "array", "items": ["null", "bytes"]}, [None, b"a"], [None, "YQ=="]),
    ],
)
def test_every_type_becomes_what_it_is_in_json(kind, value, expected):
    assert decode(record(x=kind), encode(record(x=kind), {"x": value})) == {"x": expected}


@pytest.mark.parametrize(
    ("name", "kind", "value", "expected"),
    [
        ("io.debezium.time.Date", "int", 20513, "2026-03-01"),
        ("io.debezium.time.MicroTimestamp", "long", 1772350200000000, "2026-03-01T07:30:00.000000Z"),
        ("io.debezium.time.NanoTimestamp", "long", 1772350200000000000, "2026-03-01T07:30:00.000000Z"),
        ("io.debezium.time.ZonedTimestamp", "string", "2026-03-01T07:30:00Z", "2026-03-01T07:30:00Z"),
        ("org.apache.kafka.connect.data.Timestamp", "long", 0, "1970-01-01T00:00:00.000Z"),
        ("a.name.of.nobody", "int", 5, 5),
    ],
)
def test_connects_names_say_what_a_value_is(name, kind, value, expected):
    named = {"type": kind, "connect.version": 1, "connect.name": name}
    assert decode(record(x=["null", named]), encode(record(x=["null", kind]), {"x": value})) == {
        "x": expected
    }


def test_a_decimal_of_variable_scale_is_a_number():
    variable = {
        "type": "record",
        "name": "io.debezium.data.VariableScaleDecimal",
        "connect.name": "io.debezium.data.VariableScaleDecimal",
        "fields": [{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}],
    }
    payload = encode(record(x=variable), {"x": {"scale": 3, "value": (285).to_bytes(2, "big")}})
    assert decode(record(x=variable), payload) == {"x": 0.285}


def test_a_number_that_is_none_is_left_to_the_rule_for_json():
    payload = encode(record(x="double", y="float"), {"x": float("nan"), "y": float("-inf")})
    assert reader(record(x="double", y="float"))(payload) == b'{"x":1e999,"y":1e999}'


def test_a_schema_may_refer_to_others():
    money = {
        "type": "record",
        "name": "Money",
        "namespace": "m",
        "fields": [{"name": "units", "type": "long"}],
    }
    both = record(a="m.Money", b=["null", "m.Money"])
    assert reader(both, money=money)(b"\x04\x02\x06") == b'{"a":{"units":2},"b":{"units":3}}'


@given(st.recursive(st.none(), lambda tree: st.fixed_dictionaries({"next": tree}), max_leaves=30), st.data())
def test_a_type_that_contains_itself_is_read(tree, data):
    price = st.decimals(-999, 999, places=2)

    def priced(node):
        return node and {"price": data.draw(price), "next": priced(node["next"])}

    node = priced({"next": tree})
    expected = json.loads(json.dumps(node, default=float))
    assert decode(NODE, encode(NODE, node)) == expected


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x04ab",
        b"\x04ab\x05",
        b"\x04ab\x00more",
        b"\xff" * 200_000,
        b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01" + b"a" * 100,
        b"\x00\x02" * 120_000,
    ],
    ids=["nothing", "cut short", "no such branch", "left over", "endless number", "giant", "bottomless"],
)
def test_bytes_that_are_not_what_the_schema_says_are_refused_at_once_and_in_little_memory(payload):
    read = reader(NODE)
    tracemalloc.start()
    with pytest.raises(WireError, match=r"^schema\.mismatch"):
        read(payload)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


def test_a_number_without_end_is_cut_off_also_where_numbers_may_grow():
    with pytest.raises(WireError, match="a number of more than 10 bytes"):
        reader(NODE)(b"\xff" * 11)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(payload):
    everything = record(
        a=["null", "string"],
        b={"type": "array", "items": "bytes"},
        c={"type": "map", "values": "double"},
        d=logical("long", "timestamp-micros"),
        e=logical("bytes", "decimal", precision=4, scale=2),
        f={"type": "enum", "name": "E", "symbols": ["x"]},
        g={"type": "fixed", "name": "F", "size": 3},
    )
    for read in (reader(everything), reader(NODE)):
        with suppress(WireError):
            assert read(payload).startswith(b"{")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": "null"},
        record(x={"type": "array", "items": {"type": "record", "name": "E", "fields": []}}),
        record(x={"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}),
        [
            "null",
            {"type": "record", "name": "W", "fields": [{"name": f"n{i}", "type": "null"} for i in range(99)]},
        ],
    ],
)
def test_a_schema_by_which_few_bytes_are_many_values_is_refused(schema):
    with pytest.raises(WireError, match=r"^schema\.invalid: it has items that take next to no bytes"):
        reader(schema)


def lists(levels):
    return '{"type":"array","items":' * levels + '"int"' + "}" * levels


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]x", "5", '"nobody"', '{"type": "record"}', '{"type": ["null"]}'),
        *('{"type":"array"}', lists(5000), lists(200)),
    ],
)
def test_what_is_no_schema_is_refused(text):
    with pytest.raises(WireError, match=r"^schema\.invalid"):
        reader_of(RegisteredSchema("AVRO", text))


def test_a_schema_of_megabytes_is_read():
    fields = [{"name": f"f{i}", "type": ["null", "string"], "doc": "y" * 99} for i in range(20)]
    parts = [{"type": "record", "name": f"P{n}", "fields": fields} for n in range(500)]
    schema = record(**{f"p{n}": ["null", inner] for n, inner in enumerate(parts)})
    assert len(json.dumps(schema)) > 1_000_000
    assert decode(schema, b"\0" * 500) == dict.fromkeys(f"p{n}" for n in range(500))


def test_names_that_double_from_level_to_level_are_no_work():
    schema = {"type": "record", "name": "L0", "fields": [{"name": "x", "type": "int"}]}
    for n in range(1, 25):
        schema = {
            "type": "record",
            "name": f"L{n}",
            "fields": [{"name": "a", "type": schema}, {"name": "b", "type": f"L{n - 1}"}],
        }
    assert reader({"type": "array", "items": schema})(b"\0") == b"[]"


def test_another_kind_of_schema_is_refused():
    with pytest.raises(WireError, match=r"schema\.invalid: its type is 'XML'"):
        reader_of(RegisteredSchema("XML", "<a/>"))


def connects(**fields):
    return {**record(**fields), "connect.name": "shop.products.Value"}


def test_what_connect_made_is_json_with_the_schema_wrapper():
    decimal = {
        "type": "bytes",
        "logicalType": "decimal",
        "scale": 2,
        "precision": 9,
        "connect.name": "org.apache.kafka.connect.data.Decimal",
        "connect.parameters": {"scale": "2"},
    }
    tree = decode(
        connects(price=["null", decimal], tags={"type": "array", "items": "long"}), b"\x02\x02\x05\x00"
    )
    assert tree == {
        "schema": {
            "type": "struct",
            "name": "shop.products.Value",
            "parameters": {},
            "fields": [
                {
                    "field": "price",
                    "type": "bytes",
                    "name": "org.apache.kafka.connect.data.Decimal",
                    "parameters": {"scale": "2"},
                },
                {"field": "tags", "type": "array", "items": {"type": "int64"}},
            ],
        },
        "payload": {"price": "BQ==", "tags": []},
    }


def test_a_schema_that_contains_itself_or_is_too_large_goes_without():
    recursive = {**NODE, "connect.name": "Node"}
    assert json.loads(reader(recursive)(b"\x02\x05\x00")) == {"price": 0.05, "next": None}
    large = connects(**{f"{'x' * 100}{n}": "int" for n in range(1500)})
    assert len(decode(large, b"\0" * 1500)) == 1500
