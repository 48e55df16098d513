"""Protobuf becomes the JSON that it stands for, by the text that a registry gives."""

import json
from contextlib import suppress

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.wire.errors import WireError
from shared.schema_registry.readers import reader_of
from shared.schema_registry.registry import RegisteredSchema
from tests.contracts.schema_registry import message_class

MONEY = 'syntax = "proto3"; package common; message Money { string currency = 1; int64 cents = 2; }'
PRODUCT = """
syntax = "proto3";
package shop;
import "common/money.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/type/date.proto";
import "google/type/decimal.proto";
import "confluent/meta.proto";
import "confluent/type/decimal.proto";
enum Kind { KIND_UNKNOWN = 0; KIND_SHOE = 1; }
message Product {
  string title = 1 [(confluent.field_meta) = { doc: "what is embedded" }];
  float weight = 2;
  double rating = 3;
  bool in_stock = 4;
  int64 cents = 5;
  uint64 ean = 6;
  repeated string tags = 7;
  map<string, int64> stock = 8;
  map<bool, common.Money> prices = 9;
  common.Money price = 10;
  bytes picture = 11;
  Kind kind = 12;
  google.protobuf.Struct extra = 13;
  google.protobuf.Int64Value views = 14;
  google.protobuf.StringValue brand = 15;
  google.protobuf.Timestamp made_at = 16;
  google.protobuf.Duration lasts = 17;
  google.type.Date released = 18;
  google.type.Decimal exact = 19;
  confluent.type.Decimal connects = 20;
  optional int32 rank = 21;
  oneof size { int32 eu = 22; string letter = 23; }
  Product parent = 24;
  message Inner { int32 x = 1; message Innermost { int32 y = 1; } }
}
"""
SCHEMA = RegisteredSchema("PROTOBUF", PRODUCT, {"common/money.proto": MONEY})
DEFAULTS = {"weight": 0, "rating": 0, "in_stock": False, "cents": 0, "ean": 0, "kind": "KIND_UNKNOWN"}


@pytest.fixture(scope="module")
def read():
    return reader_of(SCHEMA)


@pytest.fixture(scope="module")
def product():
    return message_class(SCHEMA.text, dict(SCHEMA.references), "shop.Product")


def written(product, **fields):
    return b"\0" + ParseDict(fields, product()).SerializeToString()


@pytest.mark.parametrize(
    ("name", "stated", "expected"),
    [
        ("title", "Shoe", "Shoe"),
        ("weight", 0.3, 0.3),
        ("rating", 4.5, 4.5),
        ("cents", "-9223372036854775808", -(2**63)),
        ("ean", "18446744073709551615", 2**64 - 1),
        ("tags", ["a", "b"], ["a", "b"]),
        ("stock", {"eu": "3"}, {"eu": 3}),
        ("prices", {"true": {"cents": "5"}}, {"true": {"cents": 5}}),
        ("price", {"currency": "EUR"}, {"currency": "EUR", "cents": 0}),
        ("picture", "AQI=", "AQI="),
        ("kind", "KIND_SHOE", "KIND_SHOE"),
        ("kind", 99, 99),
        ("extra", {"a": [True, None, {"b": "c"}]}, {"a": [True, None, {"b": "c"}]}),
        ("views", "7", 7),
        ("brand", "", ""),
        ("made_at", "2026-03-01T07:30:00Z", "2026-03-01T07:30:00Z"),
        ("lasts", "1.5s", "1.500s"),
        ("released", {"year": 2026, "month": 3, "day": 1}, "2026-03-01"),
        ("exact", {"value": "1.25"}, 1.25),
        ("connects", {"value": "Jt4=", "scale": 2, "precision": 6}, 99.5),
        ("rank", 0, 0),
        ("eu", 0, 0),
        ("parent", {"title": "Boot"}, {**DEFAULTS, "title": "Boot"}),
    ],
)
def test_every_field_becomes_what_it_is_in_json(read, product, name, stated, expected):
    tree = json.loads(read(written(product, **{name: stated})))
    assert tree == {**DEFAULTS, name: expected}


def test_what_is_no_number_is_left_to_the_rule_for_json(read, product):
    assert b'"rating":1e999' in read(written(product, rating="NaN"))


def test_the_indexes_say_which_message_it_is(read):
    """The two maps have entries, which are nested messages before `Inner` for Python, and none for Java."""
    for inner in (b"\0", b"\4"):
        assert read(b"\4\0" + inner + b"\x08\x05") == b'{"x":5}'
        assert read(b"\6\0" + inner + b"\0\x08\x05") == b'{"y":5}'


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\1",
        b"\x7e" * 40,
        b"\2",
        b"\2\2",
        b"\2\1",
        b"\4\0\x7e",
        b"\xff" * 10,
        b"\6\0\0\2",
        b"\2\xff\xff\xff\xff\xff\1",
    ],
)
def test_an_index_of_no_message_is_refused(read, payload):
    with pytest.raises(WireError, match=r"^schema\.mismatch: .*(index)"):
        read(payload)


@pytest.mark.parametrize(
    "payload", [b"\0\x0a\x05ab", b"\0\xff", b"\0\x0a\xff\xff\xff\xff\x07ab", b"\0\x0a\1\xff"]
)
def test_bytes_that_are_no_message_are_refused(read, payload):
    with pytest.raises(WireError, match=r"^schema\.mismatch"):
        read(payload)


def test_a_message_without_a_floor_is_refused(read):
    value = b""
    for _ in range(150):
        size = len(value)
        value = b"\xc2\1" + bytes([size & 127 | 128, size >> 7]) + value
    with pytest.raises(WireError, match=r"^schema\.mismatch"):
        read(b"\0" + value)


@given(st.binary(max_size=100))
@settings(max_examples=300)
def test_no_bytes_do_more_than_be_refused(payload):
    with suppress(WireError):
        assert READ(payload).startswith(b"{")


READ = reader_of(SCHEMA)
CHANGE = """
syntax = "proto3";
enum Op { OP_UPSERT = 0; OP_PATCH = 1; OP_DELETE = 2; }
message Change {
  string product_id = 1; Op op = 2; int64 version = 3; Source source = 4;
  message Fields { string title = 1; int64 cents = 2; }
  Fields fields = 5;
}
message Source { int64 lsn = 1; int64 ts_ms = 2; }
"""


def test_in_a_changes_envelope_nothing_and_zero_state_nothing():
    kind = message_class(CHANGE, {}, "Change")
    message = ParseDict({"productId": "A", "op": "OP_DELETE", "source": {"tsMs": 5}, "fields": {}}, kind())
    assert json.loads(
        reader_of(RegisteredSchema("PROTOBUF", CHANGE))(b"\0" + message.SerializeToString())
    ) == {
        "product_id": "A",
        "op": "delete",
        "source": {"ts_ms": 5},
        "fields": {"cents": 0},
    }


def test_proto2_has_its_presence_and_its_required_fields():
    text = """
    syntax = "proto2";
    message A { required string id = 1; optional int32 n = 2 [default = 5]; repeated int32 p = 3; }
    """
    read = reader_of(RegisteredSchema("PROTOBUF", text))
    assert read(b"\0\x0a\1A\x18\5") == b'{"id":"A","p":[5]}'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no message"),
        ("garbage", "line:1:1: Expected top-level statement"),
        ('syntax = "proto3"; message A { int32 x = ; }', "line:1:42: Expected field number"),
        ('import "nowhere.proto"; message A {}', "nowhere.proto: File not found"),
        ('import "../../etc/passwd"; message A {}', "not allowed in the virtual path"),
        ("message A {" * 5000, "recursion limit"),
        ('syntax = "proto3"; message A { B b = 1; }', '"B" is not defined'),
    ],
)
def test_what_is_no_schema_is_refused_in_protocs_words(text, why):
    if not text:
        with pytest.raises(WireError, match=r"of no message"):
            reader_of(RegisteredSchema("PROTOBUF", text))(b"\0")
        return
    with pytest.raises(WireError, match=r"^schema\.invalid: protoc refuses it: ") as refused:
        reader_of(RegisteredSchema("PROTOBUF", text))
    assert why in str(refused.value)


@pytest.mark.parametrize("name", ["../up.proto", "/etc/x.proto", "a/../../x.proto", "", "nul\0.proto"])
def test_an_import_leads_nowhere_else(name):
    with pytest.raises(WireError, match=r"^schema\.invalid: .*no path of an import"):
        reader_of(RegisteredSchema("PROTOBUF", PRODUCT, {"common/money.proto": MONEY, name: MONEY}))


def test_a_schema_of_megabytes_is_read():
    fields = "".join(f"  string a_rather_long_name_{n} = {n + 1}; // and what it is for\n" for n in range(30))
    text = 'syntax = "proto3";\n' + "".join(f"message M{n} {{\n{fields}}}\n" for n in range(700))
    assert len(text) > 1_000_000
    assert reader_of(RegisteredSchema("PROTOBUF", text))(b"\2\2\x0a\1x") == b'{"a_rather_long_name_0":"x"}'
