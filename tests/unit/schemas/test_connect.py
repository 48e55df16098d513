"""What only a Connect schema explains: decimals, dates and times, back to what the database had."""

import json
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.wire import WireError
from schemas.wire.connect import identity, is_wrapped, key_identity, key_struct
from schemas.wire.connect_types import field_schemas, guess, interpret

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DATES = ["io.debezium.time.Date", "org.apache.kafka.connect.data.Date"]
UNITS = {
    "io.debezium.time.Timestamp": timedelta(milliseconds=1),
    "org.apache.kafka.connect.data.Timestamp": timedelta(milliseconds=1),
    "io.debezium.time.MicroTimestamp": timedelta(microseconds=1),
}
TIMES = {
    "io.debezium.time.Time": timedelta(milliseconds=1),
    "org.apache.kafka.connect.data.Time": timedelta(milliseconds=1),
    "io.debezium.time.MicroTime": timedelta(microseconds=1),
}
moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - see timezones


def unscaled(number: int) -> str:
    return b64encode(number.to_bytes((number.bit_length() + 8) // 8, "big", signed=True)).decode()


def decimal(scale: object) -> dict[str, object]:
    return {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": scale}}


@given(st.integers(-(10**18), 10**18), st.integers(0, 12))
def test_a_decimal_is_the_number_that_the_database_had(digits: int, scale: int):
    number = Decimal(digits).scaleb(-scale)
    fixed = interpret(unscaled(digits), decimal(str(scale)))
    variable = interpret(
        {"value": unscaled(digits), "scale": scale}, {"name": "io.debezium.data.VariableScaleDecimal"}
    )
    assert fixed == variable == (digits if scale == 0 else float(number))
    assert type(fixed) is (int if scale == 0 else float)


@example(2**63 - 1)
@example(-(2**63))
@given(st.integers(-(2**70), 2**70))
def test_a_whole_decimal_stays_whole_while_it_has_64_bits(number: int):
    read = interpret(unscaled(number), decimal("0"))
    assert (read, type(read)) == ((number, int) if -(2**63) <= number < 2**63 else (float(number), float))


@pytest.mark.parametrize("scale", [None, "", "two", 1.5, [], {}])
def test_a_decimal_without_a_scale_is_refused(scale: object):
    with pytest.raises(WireError, match=r"connect\.invalid: .*is not a decimal"):
        interpret(unscaled(5), decimal(scale))


@pytest.mark.parametrize("name", DATES)
@given(day=st.dates())
def test_a_date_is_that_day(name: str, day: date):
    assert interpret((day - EPOCH.date()).days, {"name": name}) == day.isoformat()


@pytest.mark.parametrize("name", UNITS)
@given(moment=moments)
def test_a_timestamp_is_that_moment_to_the_digit_that_its_type_has(name: str, moment: datetime):
    count = (moment - EPOCH) // UNITS[name]
    text = interpret(count, {"name": name})
    assert datetime.fromisoformat(text) == EPOCH + count * UNITS[name]
    assert text.endswith("Z")


@given(moment=moments)
def test_a_timestamp_in_nanoseconds_keeps_its_microseconds(moment: datetime):
    count = (moment - EPOCH) // timedelta(microseconds=1) * 1000 + 999
    assert datetime.fromisoformat(interpret(count, {"name": "io.debezium.time.NanoTimestamp"})) == moment


@pytest.mark.parametrize("name", TIMES)
@given(time=st.times())
def test_a_time_of_day_is_that_time(name: str, time: object):
    count = (datetime.fromisoformat(f"1970-01-01T{time}+00:00") - EPOCH) // TIMES[name]
    assert interpret(count, {"name": name}) == (EPOCH + count * TIMES[name]).time().isoformat()


@pytest.mark.parametrize("name", [*DATES, *UNITS, *TIMES, "io.debezium.time.NanoTimestamp"])
@pytest.mark.parametrize("value", ["2026-01-01", 1.5, True, {}])
def test_a_time_that_is_no_whole_number_is_refused(name: str, value: object):
    with pytest.raises(WireError, match=r"connect\.invalid"):
        interpret(value, {"name": name})


LAST, FIRST = "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00.000000Z"
DEBEZIUM = "io.debezium.time."


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("MicroTimestamp", 9223372036825200000, LAST),
        ("MicroTimestamp", -9223372036832400000, FIRST),
        ("Timestamp", 9223372036825200, "9999-12-31T23:59:59.999Z"),
        ("Timestamp", 10**40, "9999-12-31T23:59:59.999Z"),
        ("NanoTimestamp", 2**63 - 1, LAST),
        ("NanoTimestamp", -(2**63), FIRST),
        ("NanoTimestamp", 2**63 - 2, "2262-04-11T23:47:16.854775Z"),
        ("Date", -2147472692, "9999-12-31"),  # infinity and -infinity as Debezium 3.3 sends them in a change
        ("Date", -2147472691, "0001-01-01"),
        ("Date", -622191234, "9999-12-31"),  # in a snapshot, by Connect's time zone
        ("Date", -622191233, "9999-12-31"),
        ("Date", -625821272, "0001-01-01"),
        ("Date", -625821271, "0001-01-01"),
        ("Date", 106751991167, "9999-12-31"),
        ("Date", -(10**40), "0001-01-01"),
        ("ZonedTimestamp", "infinity", LAST),
        ("ZonedTimestamp", "-infinity", FIRST),
        ("ZonedTimestamp", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("IsoTimestamp", "+294247-01-10T04:00:25.2Z", LAST),
        ("IsoTimestamp", "-290308-12-21T19:59:27.6Z", FIRST),
        ("IsoDate", "-5877611-06-21Z", "9999-12-31"),
        ("IsoDate", "-5877611-06-22Z", "0001-01-01"),
        ("IsoDate", "+292278994-08-17Z", "9999-12-31"),
        ("IsoDate", "+292269055-12-02Z", "0001-01-01"),
        ("IsoDate", "+292269055-12-03Z", "0001-01-01"),
        ("IsoDate", "2026-01-31Z", "2026-01-31Z"),
        ("StructuredDate", {"year": None, "specialValue": "POSITIVE_INFINITY"}, "9999-12-31"),
        ("StructuredDate", {"year": 2026, "month": 1, "day": 31, "specialValue": None}, "2026-01-31"),
        ("StructuredDate", {"year": 12026, "month": 1, "day": 31}, "9999-12-31"),
        ("StructuredTimestamp", {"hour": None, "specialValue": "NEGATIVE_INFINITY"}, FIRST),
    ],
)
def test_what_lies_beyond_the_calendar_is_its_first_or_last_day(name: str, value: object, text: str):
    assert interpret(value, {"name": DEBEZIUM + name}) == text


NOON = {"hour": 12, "minute": 5, "second": 9, "nanos": 120_000_000}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("Time", 86_400_000, "24:00:00"),
        ("MicroTime", -45_000_000_000, "-12:30:00"),
        ("MicroTime", 3_020_399_000_001, "838:59:59.000001"),
        ("NanoTime", 1_500_000_000, "00:00:01.500000"),
        ("Year", 2026, 2026),
        ("Interval", "P1Y2M3DT4H5M6.78S", "P1Y2M3DT4H5M6.78S"),
        ("MicroDuration", 36_937_578_000_000, 36_937_578_000_000),
        ("StructuredTime", NOON, "12:05:09.12"),
        ("StructuredTimestamp", {"year": 2026, "month": 1, "day": 31, **NOON}, "2026-01-31T12:05:09.12Z"),
        (
            "StructuredZonedTimestamp",
            {"year": 2026, "month": 1, "day": 31, **NOON, "offsetSeconds": -5400},
            "2026-01-31T12:05:09.12-01:30",
        ),
    ],
)
def test_other_times_are_iso_texts_or_what_they_were(name: str, value: object, text: object):
    assert interpret(value, {"name": DEBEZIUM + name}) == text


WKB = "01010000000000000000001c400000000000004840"
EWKB = "0101000020e61000000000000000001c400000000000004840"
BIG_ENDIAN = "0000000001401c0000000000004048000000000000"


@pytest.mark.parametrize(
    ("schema", "value", "plain"),
    [
        (
            {"name": "io.debezium.data.Json"},
            '{"colour": "red", "sizes": [1]}',
            {"colour": "red", "sizes": [1]},
        ),
        ({"name": "io.debezium.data.Json"}, '"red"', "red"),
        ({"name": "io.debezium.data.Json"}, "null", None),
        ({"name": "io.debezium.data.Json"}, "{no", "{no"),
        ({"name": "io.debezium.data.EnumSet"}, "x,y", ["x", "y"]),
        ({"name": "io.debezium.data.EnumSet"}, "", []),
        ({"name": "io.debezium.data.Enum"}, "x", "x"),
        ({"name": "io.debezium.data.Uuid"}, "a0eebc99", "a0eebc99"),
        ({"name": "io.debezium.data.Xml"}, "<a/>", "<a/>"),
        ({"name": "io.debezium.data.Ltree"}, "Top.Shoes", "Top.Shoes"),
        ({"name": "io.debezium.data.Bits", "type": "bytes"}, "BgE=", 262),
        (
            {"name": "io.debezium.data.geometry.Point"},
            {"x": 7.0, "y": 48.0, "wkb": ""},
            {"x": 7.0, "y": 48.0},
        ),
        ({"name": "io.debezium.data.geometry.Geometry"}, {"wkb": WKB}, {"x": 7.0, "y": 48.0}),
        ({"name": "io.debezium.data.geometry.Geography"}, {"wkb": EWKB, "srid": 4326}, {"x": 7.0, "y": 48.0}),
        ({"name": "io.debezium.data.geometry.Geometry"}, {"wkb": BIG_ENDIAN}, {"x": 7.0, "y": 48.0}),
        ({"type": "map", "values": {"type": "string"}}, {"a": "1", "b": None}, {"a": "1", "b": None}),
        ({"type": "map", "values": {"name": "io.debezium.time.Date"}}, [[1, 0]], {"1": "1970-01-01"}),
        ({"type": "array", "items": {"name": "io.debezium.data.Json"}}, ['{"a": 1}'], [{"a": 1}]),
        ({"type": "double"}, 1.5, 1.5),
    ],
)
def test_types_of_databases_are_plain_json(schema: dict[str, object], value: object, plain: object):
    if isinstance(value, dict) and value.get("wkb"):
        value = {**value, "wkb": b64encode(bytes.fromhex(value["wkb"])).decode()}
    assert interpret(value, schema) == plain


@pytest.mark.parametrize(
    ("schema", "value", "reason"),
    [
        ({"type": "double"}, "NaN", "field.number_not_finite"),
        ({"type": "float"}, "-Infinity", "field.number_not_finite"),
        ({"type": "bytes"}, "AAEC", "field.unsupported"),
        ({"name": "io.debezium.data.FloatVector"}, [0.5], "field.unsupported"),
        ({"name": "io.debezium.data.geometry.Geometry"}, {"wkb": "AQIAAAA="}, "field.unsupported"),
        ({"name": "io.debezium.data.geometry.Line"}, {"a": 1, "b": 2, "c": 3}, "connect.invalid"),
        ({"name": "io.debezium.data.geometry.Geometry"}, "POINT(1 2)", "connect.invalid"),
        ({"name": "io.debezium.data.Bits"}, 7, "connect.invalid"),
        ({"name": "io.debezium.time.StructuredDate"}, {"year": 2026}, "connect.invalid"),
        ({"name": "io.debezium.time.StructuredDate"}, "2026-01-31", "connect.invalid"),
        ({"name": "io.debezium.time.MicroTime"}, 2**64, "connect.invalid"),
    ],
)
def test_what_search_has_no_use_for_is_refused(schema: dict[str, object], value: object, reason: str):
    with pytest.raises(WireError) as refused:
        interpret(value, schema)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('{"colour": "red"}', {"colour": "red"}),
        (' [ "x", "y" ]', ["x", "y"]),
        ('[{"eu": 40}]', [{"eu": 40}]),
        ("{}", {}),
        ("[]", []),
        ("[1, 2]", "[1, 2]"),
        ("[SALE] shoe", "[SALE] shoe"),
        ('{"open"', '{"open"'),
        ("{brackets}", "{brackets}"),
        ("infinity", "infinity"),
        ("-5877611-06-21Z", "9999-12-31"),
        ("+294247-01-10T04:00:25.2Z", LAST),
        ("+49 30 1234567", "+49 30 1234567"),
        ({"scale": 1, "value": "BN4="}, 124.6),
        ({"scale": "large", "value": "BN4="}, {"scale": "large", "value": "BN4="}),
        ({"scale": 1}, {"scale": 1}),
        (7, 7),
    ],
)
def test_without_a_schema_only_what_cannot_be_meant_otherwise_is_read(text: object, meant: object):
    assert guess(text) == meant


@pytest.mark.parametrize("name", [*DATES, *UNITS, *TIMES])
def test_null_is_null_whatever_the_type(name: str):
    assert interpret(None, {"name": name}) is None


def test_types_are_explained_at_any_depth():
    day = {"type": "int32", "name": DATES[0]}
    schema = {
        "type": "struct",
        "fields": [
            {**day, "field": "released"},
            {"type": "array", "items": day, "field": "sales"},
            {"type": "struct", "field": "season", "fields": [{**day, "field": "start"}]},
        ],
    }
    row = {"released": 0, "sales": [1, None], "season": {"start": 2, "name": "spring"}, "stock": 7}
    assert interpret(row, schema) == {
        "released": "1970-01-01",
        "sales": ["1970-01-02", None],
        "season": {"start": "1970-01-03", "name": "spring"},
        "stock": 7,
    }


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(trees, st.none() | st.just({"type": "struct"}) | st.just({"name": "io.other.Type"}) | trees)
def test_without_a_type_that_we_know_a_value_stays_as_it_is(value: object, schema: object):
    assert interpret(value, schema) == value


@given(trees)
def test_a_schema_of_any_shape_has_fields_or_has_none(schema: object):
    assert all(field["field"] == name for name, field in field_schemas(schema).items())


schemas = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.fixed_dictionaries(
            {"type": st.sampled_from(["struct", "map", "array", "string"]) | inner},
            optional=dict.fromkeys(("fields", "values", "items", "name", "field", "parameters"), inner),
        )
    ),
)


@given(trees, schemas)
@example({"a": 1}, {"type": "struct", "fields": 5})
@example({"a": 1}, {"type": "struct", "fields": [{"field": ["a"]}]})
@example([1, "ab", {"a": 1, "b": 2}], {"type": "map"})
def test_a_schema_of_any_shape_explains_a_value_or_is_refused(value: object, schema: object):
    with suppress(WireError):
        interpret(value, schema)


# Keys


@pytest.mark.parametrize(
    ("key", "product_id"),
    [
        (b"P-1", "P-1"),
        (b'"P-1"', "P-1"),
        (b'"', '"'),
        (b'"P"1"', '"P"1"'),
        (b'{"schema":{"type":"int32"},"payload":3001}', "3001"),
        (b'{"schema":{"type":"string"},"payload":"P-1"}', "P-1"),
        (b'{"schema":null,"payload":null}', None),
        (b"Struct{sku=P-1}", "P-1"),
        (b"Struct{sku=P-1,locale=de-DE}", "P-1:de-DE"),
        (b'{"id":12.0}', "12"),
        (b'{"id":12.5,"sold":true}', "12.5:true"),
        (b'{"id":{"scale":0,"value":"AP//////////"}}', str(2**64 - 1)),
        (b"7", "7"),
        (b'{"sku":"P-1"}', "P-1"),
        (b'{"tenant":7,"sku":"A/1"}', "7:A/1"),
        (b'{"schema":{"type":"struct"},"payload":{"sku":"P-1"}}', "P-1"),
        (b"{not json}", "{not json}"),
        (b"{}", None),
        (None, None),
    ],
)
def test_the_id_in_a_key_is_its_text_or_the_values_of_its_struct(key: bytes | None, product_id: str | None):
    assert key_identity(key) == product_id


@pytest.mark.parametrize("key", [b"\xff", b'"\xff"'])
def test_a_key_that_is_no_text_names_no_product(key: bytes):
    with pytest.raises(WireError, match=r"id\.invalid: the key .* is not text"):
        key_identity(key)


@pytest.mark.parametrize("value", [None, float("inf"), ["a"], {"a": 1}])
def test_a_key_struct_of_anything_but_text_and_numbers_is_refused(value: object):
    with pytest.raises(WireError, match=r"id\.invalid.*must hold text or numbers"):
        identity({"sku": "P-1", "part": value})


@pytest.mark.parametrize("scale", [10**12, -(10**12), 129, -129])
def test_a_decimal_in_a_key_that_no_id_can_hold_is_refused_before_it_is_written_out(scale: int):
    with pytest.raises(WireError, match=r"id\.invalid.*must hold text or numbers"):
        key_identity(b'{"id":{"scale":%d,"value":"AQ=="}}' % scale)


def test_bits_in_a_key_that_no_id_can_hold_are_refused():
    bits = b64encode(b"\xff" * 3000).decode()
    field = {"field": "sku", "type": "bytes", "name": "io.debezium.data.Bits"}
    key = {"schema": {"type": "struct", "fields": [field]}, "payload": {"sku": bits}}
    with pytest.raises(WireError, match=r"id\.invalid.*must hold text or numbers"):
        key_identity(json.dumps(key).encode())


@given(st.binary(max_size=30))
def test_a_key_struct_is_an_object_or_there_is_none(key: bytes):
    struct = key_struct(key)
    assert struct is None or (key.startswith((b"{", b"Struct{")) and isinstance(struct, dict))


@pytest.mark.parametrize(
    ("message", "wrapped"),
    [
        ({"schema": None, "payload": None}, True),
        ({"schema": {}, "payload": {}}, True),
        ({"schema": {}}, False),
        ({"payload": {}}, False),
        ({"schema": {}, "payload": {}, "op": "c"}, False),
    ],
)
def test_only_schema_and_payload_alone_are_the_wrapper(message: dict[str, object], wrapped: bool):
    assert is_wrapped(message) is wrapped
