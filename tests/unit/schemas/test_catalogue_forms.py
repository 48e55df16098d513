import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from schemas.base import MAX_TEXT_BYTES
from schemas.catalogue import ProductChange, StampedChange
from schemas.golden import golden
from schemas.wire import REASONS, SkippedMessage, WireError, clamp_event_time, read_change
from schemas.wire.change import Form
from schemas.wire.fields import cut_text
from tests.data.forms import UNAVAILABLE, Wire, forms
from tests.data.poison import Poison, poison
from tests.stamped import said
from tests.unit.schemas.strategies import changes

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SAMPLES = Path(__file__).parents[2] / "data" / "wire"


def decode(wire: Wire, *, timestamp: datetime = NOW, offset: int = 42) -> StampedChange:
    return read_change(
        key=wire.key, value=wire.value, headers=wire.headers, timestamp=timestamp, offset=offset
    ).change


def plain(
    message: Any, *, key: bytes | None = b"P-1", headers: tuple[tuple[str, bytes], ...] = ()
) -> StampedChange:
    return decode(Wire(key, json.dumps(message).encode(), headers))


def sample(file: Path) -> Wire:
    stored = json.loads(file.read_text())
    return Wire(
        key=None if stored["key"] is None else stored["key"].encode(),
        value=None if stored["value"] is None else stored["value"].encode(),
        headers=tuple((name, value.encode()) for name, value in stored["headers"]),
    )


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@settings(max_examples=200, deadline=None)
@given(change=changes)
@example(change=ProductChange(product_id='"', op="delete", version=0, event_time=EPOCH))  # no JSON text
def test_every_form_of_one_fact_gives_the_identical_change(change: ProductChange):
    assume("product_id" not in change.fields)
    assume(not any(name.startswith("__") for name in change.fields))  # in a flattened row they are metadata
    for form, wire in forms(change).items():
        decoded = decode(wire, timestamp=change.event_time)
        assert said(decoded) == said(change), form
        assert decoded.stamp.version == (change.version,), form


@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.json")), ids=lambda file: file.stem)
def test_the_golden_sample_of_each_form_is_read_as_the_golden_change(file: Path):
    change = ProductChange.decode(golden("catalogue.changes.v1"))
    if "tombstone" in file.stem:
        change = change.model_copy(update={"op": "delete", "fields": {}})
    decoded = decode(sample(file), timestamp=change.event_time)
    assert said(decoded) == said(change)
    assert decoded.stamp.version == (change.version,)


def test_there_is_a_golden_sample_of_every_form():
    change = ProductChange.decode(golden("catalogue.changes.v1"))
    deleted = change.model_copy(update={"op": "delete", "fields": {}})
    assert {file.stem for file in SAMPLES.glob("*.json")} == forms(deleted).keys() | forms(change).keys()


def test_every_form_that_is_read_is_among_those_that_are_tested():
    change = ProductChange.decode(golden("catalogue.changes.v1"))
    deleted = change.model_copy(update={"op": "delete", "fields": {}})
    messages = [*forms(change).values(), *forms(deleted).values()]
    read = {
        read_change(key=wire.key, value=wire.value, headers=wire.headers, timestamp=NOW, offset=0).form
        for wire in messages
    }
    assert read == set(get_args(Form))


@pytest.mark.parametrize("bad", poison(), ids=lambda bad: bad.name)
def test_poison_is_refused_with_its_reason_and_says_what_to_do(bad: Poison):
    with pytest.raises(WireError) as refused:
        read_change(key=bad.key, value=bad.value, headers=bad.headers, timestamp=NOW, offset=7)
    assert refused.value.reason == bad.reason
    assert refused.value.reason in REASONS
    assert 10 < len(refused.value.explanation) < 300
    assert refused.value.explanation.isprintable()


def test_there_are_a_hundred_kinds_of_poison_and_more():
    samples = poison()
    assert len({bad.name for bad in samples}) == len(samples) >= 100


@settings(max_examples=500, deadline=None)
@given(
    key=st.one_of(
        st.none(), st.binary(max_size=20), st.sampled_from([b'{"id":1}', b'{"schema":1,"payload":2}'])
    ),
    value=st.one_of(st.none(), st.binary(max_size=80)),
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                ["version", "content-type", "ce_specversion", "ce_id", "ce_type", "ce_time", "x"]
            ),
            st.one_of(st.binary(max_size=12), st.sampled_from([b"1.0", b"application/cloudevents+json"])),
        ),
        max_size=5,
    ),
)
def test_any_bytes_are_a_change_or_a_wire_error(key: bytes | None, value: bytes | None, headers: Any):
    _change_or_wire_error(key, value, headers)


NAMES = ["product_id", "op", "version", "event_time", "fields", "_id", "_op_type", "_source", "_version"]
NAMES += ["schema", "payload", "before", "after", "source", "ts_ms", "lsn", "type", "name", "field", "items"]
NAMES += ["specversion", "id", "subject", "time", "data", "data_base64", "parameters", "scale", "value"]
NAMES += ["__op", "__deleted", "__lsn", "__source_ts_ms", "__debezium", "updateDescription", "updatedFields"]
NAMES += [
    "removedFields",
    "truncatedArrays",
    "patch",
    "$set",
    "$unset",
    "$oid",
    "$date",
    "$binary",
    "$numberLong",
]
NAMES += [
    "connector",
    "iodebeziumop",
    "iodebeziumlsn",
    "wkb",
    "year",
    "hour",
    "specialValue",
    "nanos",
    "status",
]
NAMES += ["replaces", "kept", "values", "fields", "ddl", "databaseName", "$timestamp", "$regex", "x", "y"]
WORDS = [
    "upsert",
    "patch",
    "delete",
    "c",
    "d",
    "u",
    "r",
    "t",
    "index",
    "update",
    "1.0",
    "struct",
    "AA==",
    "2",
]
WORDS += [
    "org.apache.kafka.connect.data.Decimal",
    "io.debezium.data.VariableScaleDecimal",
    "io.debezium.time.Date",
]
WORDS += ["mongodb", "io.debezium.data.Json", "io.debezium.data.geometry.Geometry", "io.debezium.data.Bits"]
WORDS += [
    "io.debezium.time.StructuredTimestamp",
    "io.debezium.data.EnumSet",
    "io.debezium.time.IsoDate",
    "map",
]
WORDS += ['{"a": {"$date": 1}}', '{"$set": {"a.0": 1}}', '{"$numberLong": "x"}', '{"$binary": 1}', "infinity"]
WORDS += ["array", "bytes", "double", "true", "AQEAAAAAAAAAAAAcQAAAAAAAAEhA", "POSITIVE_INFINITY", "BEGIN"]
WORDS += ["io.debezium.time.MicroTime", "io.debezium.time.NanoTimestamp", "after", UNAVAILABLE]
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(WORDS)
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
)


@settings(max_examples=300, deadline=None)
@given(message=st.dictionaries(st.sampled_from(NAMES), trees, max_size=8), key=st.none() | trees)
def test_any_json_with_our_words_in_it_is_a_change_or_a_wire_error(message: Any, key: Any):
    _change_or_wire_error(json.dumps(key).encode(), json.dumps(message).encode(), ())


def _change_or_wire_error(key: bytes | None, value: bytes | None, headers: Any) -> None:
    try:
        change = read_change(key=key, value=value, headers=headers, timestamp=NOW, offset=1).change
    except SkippedMessage:
        return
    except WireError as error:
        refused = error.reason
    else:
        refused = None
        assert said(ProductChange.decode(msgspec.json.encode(change))) == said(
            change
        )  # what passes is a valid message
    assert refused is None or refused in REASONS


def ordered(change: StampedChange) -> tuple[str, tuple[int, ...]]:
    return change.stamp.line, change.stamp.version


HERE = ("append", (int(NOW.timestamp() * 1000), 0, 42))


def test_what_orders_a_change_is_the_producers_version_then_the_header_then_its_time_then_its_place():
    message = {"product_id": "P-1", "op": "delete"}
    timed = {**message, "event_time": "1970-01-01T00:00:02Z"}
    header = (("version", b"5"),)
    assert ordered(plain({**timed, "version": 9}, headers=header)) == ("version", (9,))
    assert ordered(plain(timed, headers=header)) == ("version", (5,))
    assert ordered(plain(timed)) == ("time", (2000,))
    assert ordered(plain(message)) == HERE
    assert ordered(plain({**message, "event_time": "1960-01-01T00:00:00Z"})) == ("time", (0,))


def test_a_time_after_the_brokers_is_no_version():
    """Nothing is made after it was appended; a version of 2099 could never be reached again."""
    change = plain({"product_id": "P-1", "op": "delete", "event_time": "2099-01-01T00:00:00Z"})
    assert ordered(change) == HERE


def test_a_repetition_says_what_was_said_and_another_change_of_its_version_does_not():
    message = {"product_id": "P-1", "op": "upsert", "version": 1, "fields": {"price": 1}}
    digest = plain(message).stamp.digest
    assert plain(message).stamp.digest == digest
    assert plain({**message, "fields": {"price": 2}}).stamp.digest != digest
    assert plain({**message, "op": "patch"}).stamp.digest != digest


def test_event_time_is_the_producers_else_the_records():
    message = {"product_id": "P-1", "op": "delete"}
    assert plain(message).event_time == NOW
    at_two = plain({**message, "event_time": "2026-01-01T03:00:00+01:00"}).event_time
    assert at_two == datetime(2026, 1, 1, 2, tzinfo=UTC)
    assert at_two.tzinfo is UTC
    assert plain({**message, "event_time": 1767232800000}).event_time == at_two


def test_the_id_comes_from_the_key_when_the_value_has_none():
    assert plain({"op": "delete"}).product_id == "P-1"
    assert plain({"op": "delete"}, key=b'"P-1"').product_id == "P-1"
    assert plain({"op": "delete"}, key=b'{"sku":"P-1"}').product_id == "P-1"
    assert plain({"op": "delete", "product_id": 17}, key=None).product_id == "17"


def test_a_tombstones_version_is_its_header_else_its_place():
    assert ordered(decode(Wire(b"P-1", None))) == HERE
    assert ordered(decode(Wire(b"P-1", None, (("version", b"3"),)))) == ("version", (3,))


def test_the_tombstone_after_a_debezium_delete_is_of_a_line_of_its_own():
    assert ordered(decode(Wire(b'{"id":"P-1"}', None))) == ("tombstone", HERE[1])


def test_nested_objects_become_dotted_names_and_lists_of_objects_columns():
    fields = {
        "brand": {"name": "A", "country": {"code": "DE"}},
        "variants": [{"eu": 40, "tags": ["x", "y"]}, {"eu": 41}, None, "loose"],
        "matrix": [[1, 2], [3]],
        "empty": [],
        "nothing": {},
    }
    assert plain({"op": "patch", "fields": fields}).fields == {
        "brand.name": "A",
        "brand.country.code": "DE",
        "variants.eu": (40, 41),
        "variants.tags": ("x", "y"),
        "variants": ("loose",),
        "matrix": (1, 2, 3),
        "empty": (),
    }


def test_long_text_is_cut_between_characters_and_counted():
    text = "é" * MAX_TEXT_BYTES
    message = {"op": "patch", "fields": {"a": text, "b": ["x", text], "c": "x" * MAX_TEXT_BYTES}}
    reading = read_change(
        key=b"P-1",
        value=json.dumps(message, ensure_ascii=False).encode(),
        headers=(),
        timestamp=NOW,
        offset=1,
    )
    assert reading.cut == ("a", "b")
    assert reading.change.fields["a"] == "é" * (MAX_TEXT_BYTES // 2)
    assert reading.change.fields["c"] == "x" * MAX_TEXT_BYTES


@given(unit=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9))
@settings(max_examples=50, deadline=None)
def test_cut_text_is_the_longest_start_of_the_text_within_the_limit(unit: str):
    text = unit * (2 * MAX_TEXT_BYTES // len(unit.encode()))
    kept = cut_text(text)
    assert text.startswith(kept)
    assert len(kept.encode()) <= MAX_TEXT_BYTES < len(text[: len(kept) + 1].encode())


def test_a_cloud_event_may_carry_the_product_itself_or_another_form():
    def structured(data: object, kind: str = "shop.product.updated") -> StampedChange:
        event = {
            "specversion": "1.0",
            "id": "1",
            "source": "/s",
            "type": kind,
            "subject": "P-1",
            "data": data,
        }
        return plain(event, key=None)

    assert structured({"title": "Shoe", "version": 7}).fields == {"title": "Shoe", "version": 7}
    assert structured({"title": "Shoe"}, "shop.product.patched.v1").op == "upsert"
    assert structured({"title": "Shoe"}, "shop.product-patched").op == "patch"
    assert structured({"title": "Shoe"}, "shop.productDeleted").op == "delete"
    assert structured({"_id": "P-9", "_source": {"title": "Shoe"}, "_version": 3}).product_id == "P-9"
    row = {"op": "c", "after": {"id": "P-8", "title": "Shoe"}, "source": {"lsn": 12}}
    assert ordered(structured({"schema": None, "payload": row})) == ("debezium//", (12,))


def test_a_large_column_that_an_update_left_alone_is_kept_as_it_was():
    row = {"id": "P-1", "price": 2, "description": UNAVAILABLE, "tags": [UNAVAILABLE]}
    change = plain({"op": "u", "after": row, "source": {"lsn": 5, "ts_ms": 1000}}, key=b'{"id":"P-1"}')
    assert change.fields == {"price": 2}
    assert change.kept == ("description", "tags")


@pytest.mark.parametrize(
    ("fields", "written", "replaces"),
    [
        ({"promo": None}, {"promo": None}, ()),
        ({"promo": 1}, {"promo": 1}, ()),
        ({"promo": {"label": "x"}}, {"promo.label": "x"}, ("promo",)),
        ({"promo": {"label": {"en": "x"}}, "a": 1}, {"promo.label.en": "x", "a": 1}, ("promo",)),
        ({"promo": {}}, {}, ("promo",)),
        ({"promo.label": None}, {"promo.label": None}, ()),
        ({"sizes": []}, {"sizes": ()}, ()),
        ({"sizes": [None]}, {}, ("sizes",)),
        ({"sizes": [40, 41]}, {"sizes": (40, 41)}, ()),
        ({"sizes": [{"eu": 40}]}, {"sizes.eu": (40,)}, ("sizes",)),
        ({"sizes": [{"eu": 40}, "loose"]}, {"sizes.eu": (40,), "sizes": ("loose",)}, ()),
    ],
)
def test_a_patch_says_what_it_replaces_as_a_whole(fields: Any, written: Any, replaces: Any):
    change = plain({"op": "patch", "fields": fields})
    assert (change.fields, change.replaces) == (written, replaces)
    assert plain({"op": "upsert", "fields": fields}).replaces == ()


def test_an_attribute_that_a_patch_could_not_write_is_not_replaced():
    value = b'{"product_id": "P", "op": "patch", "fields": {"a": [1e999], "b": {"x": 1e999, "y": 1}}}'
    change = decode(Wire(b"P", value))
    assert (change.fields, change.replaces) == ({"b.y": 1}, ("b",))


def test_our_own_form_states_what_a_patch_replaces_and_what_an_upsert_keeps():
    patch = {"op": "patch", "fields": {"promo.label": "x", "a": {"b": 1}}, "replaces": ["promo", "a"]}
    assert plain(patch).replaces == ("a", "promo")
    upsert = {"op": "upsert", "fields": {"a": 1}, "kept": ["description"], "replaces": ["promo"]}
    assert (plain(upsert).kept, plain(upsert).replaces) == (("description",), ())
    for message in (plain(patch), plain(upsert)):
        assert said(decode(Wire(None, msgspec.json.encode(message)), timestamp=message.event_time)) == said(
            message
        )


@pytest.mark.parametrize("names", ["promo", [1], {"promo": 1}, [[]]])
@pytest.mark.parametrize(("where", "op"), [("replaces", "patch"), ("kept", "upsert")])
def test_names_of_attributes_are_a_list_of_texts(where: str, op: str, names: object):
    with pytest.raises(WireError, match=r"field\.invalid.*list"):
        plain({"op": op, "fields": {}, where: names})


def test_event_times_are_bounded_by_the_retention_and_five_minutes():
    day = timedelta(days=1)
    assert clamp_event_time(NOW - 3 * day, NOW, day) == NOW - day
    assert clamp_event_time(NOW + day, NOW, day) == NOW + timedelta(minutes=5)
    assert clamp_event_time(NOW - timedelta(hours=1), NOW, day) == NOW - timedelta(hours=1)
