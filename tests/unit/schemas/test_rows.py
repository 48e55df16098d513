"""Rows of tables and documents of collections, as Debezium 2 and 3 and its transformations write them."""

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.wire import DecodedChange, SkippedMessage, WireError, read_change
from tests.stamped import said

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
UNAVAILABLE = "__debezium_unavailable_value"
POSTGRES = {
    "version": "3.3.1.Final",
    "connector": "postgresql",
    "name": "shop",
    "ts_ms": 1795000000000,
    "snapshot": "false",
    "db": "shop",
    "schema": "public",
    "table": "products",
    "txId": 771,
    "lsn": 29274832,
}
MONGO = {"connector": "mongodb", "name": "shop", "ts_ms": 1795000000000, "collection": "products", "ord": 1}
Headers = tuple[tuple[str, bytes], ...]


def read(key: Any, value: Any, headers: Headers = ()) -> DecodedChange:
    return read_change(
        key=key if key is None or isinstance(key, bytes) else json.dumps(key).encode(),
        value=None if value is None else json.dumps(value).encode(),
        headers=headers,
        timestamp=NOW,
        offset=42,
    )


def event(row: Any, **parts: Any) -> dict[str, Any]:
    return {"before": None, "after": row, "source": POSTGRES, "op": "u", "ts_ms": 1795000000100, **parts}


def wrapped(columns: dict[str, dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
    fields = [{"field": name, **schema} for name, schema in columns.items()]
    after = {"type": "struct", "field": "after", "fields": fields}
    return {"schema": {"type": "struct", "fields": [after]}, "payload": event(row)}


# Keys


def test_columns_of_a_composite_key_are_attributes_too():
    key = {"sku": "CK-1", "locale": "de-DE"}
    change = read(key, event({"sku": "CK-1", "locale": "de-DE", "title": "Jacke"})).change
    assert (change.product_id, change.fields) == ("CK-1:de-DE", {**key, "title": "Jacke"})


def test_columns_that_only_the_key_has_are_attributes():
    change = read({"shop": 7, "sku": "A/1"}, event({"title": "Jacke"})).change
    assert (change.product_id, change.fields) == ("7:A/1", {"shop": 7, "sku": "A/1", "title": "Jacke"})


@pytest.mark.parametrize("column", ["id", "product_id"])
def test_a_key_of_one_column_called_id_is_the_product_id_and_no_attribute(column: str):
    change = read({column: 3001}, event({column: 3001, "title": "Jacke"})).change
    assert (change.product_id, change.fields) == ("3001", {"title": "Jacke"})
    both = read({"id": 3001, "locale": "de"}, event({"id": 3001, "locale": "de"})).change
    assert (both.product_id, both.fields) == ("3001:de", {"id": 3001, "locale": "de"})


def test_a_plain_key_is_the_product_id_whatever_the_row_says():
    assert read(b"SKU-1", event({"id": 3001, "title": "Jacke"})).change.product_id == "SKU-1"
    assert read(b"\xff\x00", event({"id": 3001, "title": "Jacke"})).change.product_id == "3001"
    assert read(None, event({"id": 3001, "title": "Jacke"})).change.product_id == "3001"
    with pytest.raises(WireError, match=r"id\.invalid"):
        read(b"\xff\x00", event({"sku": 3001, "title": "Jacke"}))


def test_a_changed_primary_key_is_a_delete_a_tombstone_and_a_new_product():
    gone = read({"id": 1}, event(None, op="d", before={"id": 1}), (("__debezium.newkey", b'{"id":2}'),))
    tombstone = read({"id": 1}, None)
    new = read(
        {"id": 2},
        event({"id": 2, "title": "Lamp", "text": UNAVAILABLE}),
        (("__debezium.oldkey", b'{"id":1}'),),
    )
    assert [(reading.change.product_id, reading.change.op) for reading in (gone, tombstone)] == [
        ("1", "delete"),
        ("1", "delete"),
    ]
    assert (new.change.product_id, new.change.fields, new.change.kept) == ("2", {"title": "Lamp"}, ("text",))


# Values


@pytest.mark.parametrize(
    "value",
    [
        UNAVAILABLE,
        b64encode(UNAVAILABLE.encode()).decode(),
        UNAVAILABLE.encode().hex(),
        [UNAVAILABLE],
        [b64encode(UNAVAILABLE.encode()).decode()],
        list(UNAVAILABLE.encode()),
        {UNAVAILABLE: UNAVAILABLE},
        json.dumps({UNAVAILABLE: UNAVAILABLE}, separators=(",", ":")),
    ],
)
def test_a_large_value_that_did_not_come_again_is_kept_in_any_type(value: Any):
    for row in (event({"id": 1, "price": 2, "large": value}), {"id": 1, "price": 2, "large": value}):
        change = read({"id": 1}, row).change
        assert (change.fields, change.kept) == ({"price": 2}, ("large",))
    typed = {"id": {"type": "int32"}, "large": {"type": "bytes"}, "price": {"type": "int32"}}
    assert read({"id": 1}, wrapped(typed, {"id": 1, "price": 2, "large": value})).change.kept == ("large",)


def test_a_column_that_cannot_be_read_does_not_cost_the_row():
    columns = {
        "title": {"type": "string"},
        "image": {"type": "bytes"},
        "price": {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal"},
        "weight": {"type": "double"},
        "place": {"type": "struct", "name": "io.debezium.data.geometry.Geometry"},
        "valid_to": {"type": "int64", "name": "io.debezium.time.MicroTimestamp"},
        "released": {"type": "int32", "name": "io.debezium.time.Date"},
        "attrs": {"type": "string", "name": "io.debezium.data.Json"},
        "tags": {"type": "string", "name": "io.debezium.data.EnumSet"},
    }
    row = {
        "title": "Jacket",
        "image": "AAEC",
        "price": "12.5",
        "weight": "NaN",
        "place": {"wkb": "AQIAAAA=", "srid": None},
        "valid_to": 9223372036825200000,
        "released": "soon",
        "attrs": '{"colour":"red","waterproof":true}',
        "tags": "x,y",
    }
    reading = read({"id": 3301}, wrapped(columns, row))
    assert reading.change.fields == {
        "title": "Jacket",
        "valid_to": "9999-12-31T23:59:59.999999Z",
        "attrs.colour": "red",
        "attrs.waterproof": True,
        "tags": ("x", "y"),
    }
    assert {left.attribute: left.reason for left in reading.left_out} == {
        "image": "field.unsupported",
        "price": "connect.invalid",
        "weight": "field.number_not_finite",
        "place": "field.unsupported",
        "released": "connect.invalid",
    }


def test_an_unsigned_number_beyond_64_bits_is_a_number_as_an_attribute_and_exact_as_a_key():
    column = {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "0"}}
    largest = b64encode((2**64 - 1).to_bytes(9, "big")).decode()
    key = {
        "schema": {"type": "struct", "fields": [{**column, "field": "ean"}]},
        "payload": {"ean": largest},
    }
    change = read(key, wrapped({"ean": column}, {"ean": largest})).change
    assert (change.product_id, change.fields) == (str(2**64 - 1), {"ean": float(2**64 - 1)})


def test_documents_are_unfolded_without_a_schema_too():
    row = {
        "id": 1,
        "attrs": '{"colour": "red", "sizes": [{"eu": 40}]}',
        "tags": '["x", "y"]',
        "note": "[1] a",
    }
    change = read({"id": 1}, event(row)).change
    assert change.fields == {
        "attrs.colour": "red",
        "attrs.sizes.eu": (40,),
        "tags": ("x", "y"),
        "note": "[1] a",
    }


def test_a_text_by_its_schema_may_be_a_document_as_mariadbs_json_is():
    text = {"type": "string", "optional": True}
    row = {"attrs": '{"color":"blue","sizes":[1,2]}', "title": "[SALE] lamp"}
    change = read(
        {"sku": "M-6"}, wrapped({"sku": text, "attrs": text, "title": text}, {"sku": "M-6", **row})
    ).change
    assert change.fields == {
        "sku": "M-6",
        "attrs.color": "blue",
        "attrs.sizes": (1, 2),
        "title": "[SALE] lamp",
    }


# Flattened rows

ROW = {"id": 3001, "title": "Jacket", "price": 79.5}
ADDED = {
    "__op": "u",
    "__source_ts_ms": 1795000001000,
    "__lsn": 29274932,
    "__table": "products",
    "__db": "shop",
}


def test_a_flattened_row_is_its_columns_and_what_was_added_says_when():
    reading = read({"id": 3001}, {**ROW, **ADDED, "__deleted": "false"})
    change = reading.change
    assert (change.product_id, change.op, reading.form) == ("3001", "upsert", "flattened")
    assert change.fields == {"title": "Jacket", "price": 79.5}
    assert change.event_time == datetime.fromtimestamp(1795000001, UTC)


@pytest.mark.parametrize(
    "added",
    [
        {"__deleted": "true"},
        {"__deleted": True},
        {"__op": "d"},
        {"__op": "d", "__deleted": "true", "__source_lsn": 9, "__ts_ms": 1795000002000},
    ],
)
def test_a_flattened_row_that_was_deleted_is_a_delete(added: dict[str, Any]):
    for row in (ROW, {"id": 3001, "title": None, "price": None}):
        change = read({"id": 3001}, {**row, **added}).change
        assert (change.product_id, change.op, change.fields) == ("3001", "delete", {})


@pytest.mark.parametrize("operation", [b"d", b'"d"', b'{"schema":{"type":"string"},"payload":"d"}'])
def test_what_was_added_may_be_in_headers(operation: bytes):
    headers = (("__op", operation), ("__source_ts_ms", b"1795000001000"), ("__lsn", b"7"))
    change = read({"id": 3001}, ROW, headers).change
    assert (change.op, change.event_time) == ("delete", datetime.fromtimestamp(1795000001, UTC))


def test_a_position_of_thousands_of_digits_is_none():
    change = read({"id": 3001}, {**ROW, **ADDED, "__lsn": "9" * 5000}).change
    assert change.stamp == read({"id": 3001}, {**ROW, **ADDED, "__lsn": "x"}).change.stamp


def test_a_flattened_row_with_a_schema_is_read_by_it():
    fields = [
        {"field": "id", "type": "int32"},
        {"field": "released", "type": "int32", "name": "io.debezium.time.Date"},
        {"field": "__op", "type": "string"},
    ]
    value = {
        "schema": {"type": "struct", "fields": fields},
        "payload": {"id": 1, "released": 0, "__op": "c"},
    }
    assert read({"id": 1}, value).change.fields == {"released": "1970-01-01"}


@pytest.mark.parametrize(
    "key",
    [
        {"id": 3001},
        {"schema": {"type": "struct", "fields": [{"field": "id", "type": "int32"}]}, "payload": {"id": 3001}},
    ],
)
def test_a_row_without_anything_added_is_taken_for_its_key_struct(key: Any):
    change = read(key, ROW).change
    assert (change.product_id, change.op, change.fields) == (
        "3001",
        "upsert",
        {"title": "Jacket", "price": 79.5},
    )


def test_a_table_whose_key_is_called_product_id_is_no_message_of_ours():
    change = read({"product_id": 4601}, {"product_id": 4601, "title": "Teapot"}).change
    assert (change.op, change.fields) == ("upsert", {"title": "Teapot"})


@pytest.mark.parametrize("key", [b"3001", None, b"{no struct"])
def test_a_row_without_anything_added_and_without_a_key_struct_is_of_no_form(key: bytes | None):
    with pytest.raises(WireError, match=r"form\.unknown.*ExtractNewRecordState"):
        read(key, ROW)


def test_a_column_that_only_looks_like_one_that_was_added_is_an_attribute():
    change = read({"id": 1}, {"id": 1, "__typename": "Product", "__op": "c"}).change
    assert change.fields == {"__typename": "Product"}


def test_a_tombstone_of_a_row_is_a_delete():
    change = read({"sku": "A"}, None, (("__op", b"d"),)).change
    assert (change.product_id, change.op) == ("A", "delete")


# MongoDB

OID = '{"$oid": "65f0a1b2c3d4e5f6a7b8c9d0"}'


def mongo(after: Any = None, **parts: Any) -> dict[str, Any]:
    return {"before": None, "after": after, "source": MONGO, "op": "c", "ts_ms": 1795000000100, **parts}


@pytest.mark.parametrize(
    ("text", "product_id"),
    [
        (OID, "65f0a1b2c3d4e5f6a7b8c9d0"),
        ('{"$numberLong": "3202"}', "3202"),
        ("1004", "1004"),
        ("12.34", "12.34"),
        ('"SKU-1"', "SKU-1"),
        ('{"shop": 7, "sku": "A"}', "7:A"),
        ('{"shop": {"$numberLong": "7"}, "sku": "A"}', "7:A"),
        ('{"nums": [1, 2]}', '{"nums":[1,2]}'),
        ('{"$binary": "a2Fma2E=", "$type": "00"}', "a2Fma2E="),
        (
            '{"$binary": {"base64": "AAECAwQFBgcICQoLDA0ODw==", "subType": "04"}}',
            "00010203-0405-0607-0809-0a0b0c0d0e0f",
        ),
        ('{"$uuid": "00010203-0405-0607-0809-0a0b0c0d0e0f"}', "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        ('{"$date": 0}', "1970-01-01T00:00:00.000Z"),
        ("{braces}", "{braces}"),
    ],
)
def test_the_id_of_a_document_is_its_value(text: str, product_id: str):
    for value in (mongo('{"title": "Lamp"}'), mongo(op="d"), None):
        assert read({"id": text}, value).change.product_id == product_id


def test_a_document_is_read_from_its_extended_json():
    document = {
        "_id": {"$oid": "65f0"},
        "title": "Jacket",
        "price": {"$numberDecimal": "89.50"},
        "stock": {"$numberLong": "7"},
        "sizes": [{"eu": {"$numberInt": "40"}}, {"eu": {"$numberDouble": "41.5"}}],
        "sold_at": {"$date": 1795000000000},
        "made_at": {"$date": {"$numberLong": "1795000000000"}},
        "seen_at": {"$date": "2026-11-18T11:06:40Z"},
        "logged_at": {"$timestamp": {"t": 1795000000, "i": 1}},
        "maker": {"$oid": "66a0"},
        "match": {"$regularExpression": {"pattern": "^a", "options": "i"}},
        "old_match": {"$regex": "^b", "$options": "i"},
        "nothing": {"$undefined": True},
        "lowest": {"$minKey": 1},
        "ratio": {"$numberDecimal": "NaN"},
    }
    reading = read({"id": OID}, mongo(json.dumps(document)))
    assert (reading.change.op, reading.form) == ("upsert", "debezium")
    assert reading.change.fields == {
        "title": "Jacket",
        "price": 89.5,
        "stock": 7,
        "sizes.eu": (40, 41.5),
        "sold_at": "2026-11-18T11:06:40.000Z",
        "made_at": "2026-11-18T11:06:40.000Z",
        "seen_at": "2026-11-18T11:06:40Z",
        "logged_at": "2026-11-18T11:06:40.000Z",
        "maker": "66a0",
        "match": "^a",
        "old_match": "^b",
        "nothing": None,
        "lowest": None,
    }
    assert [(left.attribute, left.reason) for left in reading.left_out] == [
        ("ratio", "field.number_not_finite")
    ]


def test_an_update_of_parts_is_a_patch():
    update = {
        "updatedFields": '{"price": {"$numberInt": "9"}, "brand": {"name": "Acme"}, "promo.label": "new",'
        ' "tags.1": "z"}',
        "removedFields": ["discount", "promo.until"],
        "truncatedArrays": [{"field": "sizes", "size": 1}],
    }
    reading = read({"id": OID}, mongo(op="u", updateDescription=update))
    assert reading.change.op == "patch"
    assert reading.change.fields == {
        "discount": None,
        "promo.until": None,
        "price": 9,
        "brand.name": "Acme",
        "promo.label": "new",
    }
    assert reading.change.replaces == ("brand",)
    assert {(left.attribute, left.reason) for left in reading.left_out} == {
        ("tags.1", "field.partial"),
        ("sizes", "field.partial"),
    }


def test_an_update_that_has_the_whole_document_is_an_upsert():
    update = {"updatedFields": '{"price": 9}', "removedFields": None, "truncatedArrays": None}
    change = read(
        {"id": OID}, mongo('{"_id": 1, "price": 9, "title": "Lamp"}', op="u", updateDescription=update)
    ).change
    assert (change.op, change.fields) == ("upsert", {"price": 9, "title": "Lamp"})


@pytest.mark.parametrize(
    ("patch", "fields"),
    [
        ('{"$set": {"price": 9}, "$unset": {"promo": true}}', {"promo": None, "price": 9}),
        ('{"$v": 1, "$set": {"price": 9}}', {"price": 9}),
        ('{"_id": 1, "title": "Lamp"}', {"title": "Lamp"}),
    ],
)
def test_the_patch_of_older_connectors_is_a_patch(patch: str, fields: dict[str, Any]):
    change = read({"id": OID}, mongo(op="u", patch=patch)).change
    assert (change.op, change.fields) == ("patch", fields)


@pytest.mark.parametrize(
    "value",
    [
        mongo("{no document"),
        mongo("[1]"),
        mongo('{"a": {"$numberLong": "many"}}'),
        mongo(op="u", updateDescription={"updatedFields": "[1]"}),
        mongo(op="u", updateDescription={"updatedFields": "{}", "removedFields": "a"}),
        mongo(op="u", updateDescription={"updatedFields": "{}", "truncatedArrays": 1}),
        mongo(op="u", patch='{"$unset": 1}'),
        mongo(op="u", patch='{"$set": {}, "$unset": null}'),
        mongo(op="u"),
    ],
)
def test_what_is_no_document_is_refused(value: dict[str, Any]):
    with pytest.raises(WireError, match=r"debezium\.invalid|json\.invalid|field\.invalid"):
        read({"id": OID}, value)


def test_a_flattened_document_is_its_fields():
    change = read({"id": "65f0"}, {"_id": "65f0", "title": "Lamp", "__deleted": False}).change
    assert (change.product_id, change.op, change.fields) == ("65f0", "upsert", {"title": "Lamp"})
    bare = read({"id": "65f0"}, {"_id": "65f0", "title": "Lamp"}).change
    assert (bare.op, bare.fields) == ("upsert", {"title": "Lamp"})


# CloudEvents, as Debezium's converter writes them

ATTRIBUTES = {
    "id": "name:shop;lsn:29274832;txId:565",
    "source": "/debezium/postgresql/shop",
    "specversion": "1.0",
    "type": "io.debezium.connector.postgresql.DataChangeEvent",
    "time": "2026-11-18T11:06:40.000Z",
    "datacontenttype": "application/json",
    "iodebeziumop": "c",
    "iodebeziumversion": "3.3.1.Final",
    "iodebeziumconnector": "postgresql",
    "iodebeziumtsms": "1795000000000",
    "iodebeziumlsn": "29274832",
    "iodebeziumtable": "products",
    "iodebeziumtxid": "565",
    "iodebeziumtxtotalorder": "1",
}
IMAGES = {"before": None, "after": {"id": 1, "title": "Lamp"}}
IMAGES_SCHEMA = {
    "type": "struct",
    "fields": [
        {
            "field": "after",
            "type": "struct",
            "fields": [{"field": "released", "type": "int32", "name": "io.debezium.time.Date"}],
        }
    ],
}


def binary(attributes: dict[str, str]) -> Headers:
    named = {name: text for name, text in attributes.items() if name != "datacontenttype"}
    return tuple((f"ce_{name}", text.encode()) for name, text in named.items())


def both_modes(attributes: dict[str, str], data: Any) -> list[DecodedChange]:
    return [read({"id": 1}, {**attributes, "data": data}), read({"id": 1}, data, binary(attributes))]


def test_an_event_of_the_converter_is_the_change_of_its_envelope():
    whole = read({"id": 1}, event({"id": 1, "title": "Lamp"}, op="c")).change
    for reading in both_modes(ATTRIBUTES, IMAGES):
        assert (said(reading.change), reading.form) == (said(whole), "cloudevents")
        assert reading.change.stamp.version == whole.stamp.version


def test_data_of_the_converter_may_have_its_schema():
    data = {"schema": IMAGES_SCHEMA, "payload": {"before": None, "after": {"id": 1, "released": 0}}}
    for reading in both_modes(ATTRIBUTES, data):
        assert reading.change.fields == {"released": "1970-01-01"}


@pytest.mark.parametrize("operation", [{"iodebeziumop": "d"}, {}])
def test_a_delete_of_the_converter_is_a_delete_with_extension_attributes_and_without(
    operation: dict[str, str],
):
    plain = {name: text for name, text in ATTRIBUTES.items() if not name.startswith("iodebezium")}
    for reading in both_modes({**plain, **operation}, {"before": {"id": 1}, "after": None}):
        assert (reading.change.product_id, reading.change.op) == ("1", "delete")


def test_the_converters_event_of_mongodb_is_read_too():
    kind = {"type": "io.debezium.connector.mongodb.DataChangeEvent", "iodebeziumconnector": "mongodb"}
    data = {"before": None, "after": '{"_id": 1, "price": {"$numberDecimal": "9.5"}}', "patch": None}
    for reading in both_modes({**ATTRIBUTES, **kind}, data):
        assert reading.change.fields == {"price": 9.5}


# What is no change of a product


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("heartbeat", {"ts_ms": 1565787098802}),
        (
            "heartbeat",
            {"schema": {"name": "io.debezium.connector.common.Heartbeat"}, "payload": {"ts_ms": 1}},
        ),
        (
            "transaction",
            {
                "status": "BEGIN",
                "id": "571:53195829",
                "event_count": None,
                "data_collections": None,
                "ts_ms": 1,
            },
        ),
        (
            "transaction",
            {"status": "END", "id": "571:53195832", "event_count": 2, "data_collections": [], "ts_ms": 1},
        ),
        (
            "schema_change",
            {
                "source": {"db": "shop"},
                "ts_ms": 1,
                "databaseName": "shop",
                "ddl": "ALTER",
                "tableChanges": [],
            },
        ),
        (
            "logical_message",
            {"op": "m", "ts_ms": 1, "source": POSTGRES, "message": {"prefix": "a", "content": ""}},
        ),
        ("truncate", {"op": "t", "source": POSTGRES, "before": None, "after": None}),
        ("truncate", {"__op": "t", "__table": "products"}),
        (
            "notification",
            {"id": "1", "aggregate_type": "Initial Snapshot", "type": "COMPLETED", "additional_data": {}},
        ),
    ],
)
def test_a_connectors_own_messages_are_skipped(kind: str, value: dict[str, Any]):
    with pytest.raises(SkippedMessage) as skipped:
        read({"serverName": "shop"}, value)
    assert skipped.value.kind == kind
    if kind == "truncate":
        assert skipped.value.source is not None
        assert skipped.value.source["table"] == "products"
