"""Catalogue messages that can never be used: one of every kind we know, with the reason it must get.

Plain values, no test framework, so that unit tests and tests on a real broker take the same ones.
"""

import json
from typing import NamedTuple

Headers = tuple[tuple[str, bytes], ...]


class Poison(NamedTuple):
    """One message, and the reason code with which it must be refused."""

    name: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: str


BINARY: Headers = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"e-1"),
    ("ce_source", b"/shop"),
    ("ce_type", b"shop.product.upserted"),
)
STRUCTURED: Headers = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
EVENT = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/shop",
    "type": "shop.product.upserted",
    "subject": "P-1",
}


def poison() -> list[Poison]:
    """Return every sample; names are unique."""
    return [
        *(Poison(f"json: {name}", b"P-1", value, (), reason) for name, value, reason in _JSON),
        *(Poison(f"plain: {name}", b"P-1", _json(value), (), reason) for name, value, reason in _PLAIN),
        *(Poison(f"id: {name}", key, value, (), reason) for name, key, value, reason in _IDS),
        *(
            Poison(f"debezium: {name}", b'{"id":"P-1"}', _json(value), (), why)
            for name, value, why in _DEBEZIUM
        ),
        *(
            Poison(f"opensearch: {name}", None, _json(value), (), reason)
            for name, value, reason in _OPENSEARCH
        ),
        *_cloud_events(),
        *_headers(),
    ]


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _upsert(fields: object) -> bytes:
    return _json({"product_id": "P-1", "op": "upsert", "version": 1, "fields": fields})


def _with_number(number: str) -> bytes:
    return b'{"product_id":"P-1","op":"upsert","fields":{"price":%s}}' % number.encode()


def _nested(depth: int) -> bytes:
    return b'{"product_id":"P-1","op":"upsert","fields":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"


_JSON: list[tuple[str, bytes, str]] = [
    ("empty", b"", "json.invalid"),
    ("blank", b"  \n", "json.invalid"),
    ("text without quotes", b"hello", "json.invalid"),
    ("cut short", b'{"product_id":"P-1","op":"ups', "json.invalid"),
    ("trailing comma", b'{"product_id":"P-1","op":"delete",}', "json.invalid"),
    ("two objects", b'{"product_id":"P-1","op":"delete"}{}', "json.invalid"),
    ("single quotes", b"{'product_id':'P-1','op':'delete'}", "json.invalid"),
    ("comment", b'{"product_id":"P-1",/* no */"op":"delete"}', "json.invalid"),
    ("byte order mark", b'\xef\xbb\xbf{"product_id":"P-1","op":"delete"}', "json.invalid"),
    ("UTF-16", '{"product_id":"P-1","op":"delete"}'.encode("utf-16"), "json.invalid"),
    ("Latin-1", b'{"product_id":"P-1","op":"upsert","fields":{"title":"K\xf6ln"}}', "json.invalid"),
    (
        "lone high surrogate",
        rb'{"product_id":"P-1","op":"upsert","fields":{"title":"\ud800"}}',
        "json.invalid",
    ),
    (
        "lone low surrogate",
        rb'{"product_id":"P-1","op":"upsert","fields":{"title":"\udc00"}}',
        "json.invalid",
    ),
    ("encoded surrogate", b'{"product_id":"\xed\xa0\x80","op":"delete"}', "json.invalid"),
    ("overlong UTF-8", b'{"product_id":"\xc0\xaf","op":"delete"}', "json.invalid"),
    ("raw line break in text", b'{"product_id":"P-1","op":"delete","x":"a\nb"}', "json.invalid"),
    ("raw NUL in text", b'{"product_id":"P-1","op":"delete","x":"a\x00b"}', "json.invalid"),
    ("leading zero", b'{"product_id":"P-1","op":"delete","version":01}', "json.invalid"),
    ("hexadecimal", b'{"product_id":"P-1","op":"delete","version":0x1F}', "json.invalid"),
    ("plus sign", b'{"product_id":"P-1","op":"delete","version":+1}', "json.invalid"),
    ("NaN", _with_number("NaN"), "json.invalid"),
    ("Infinity", _with_number("Infinity"), "json.invalid"),
    ("minus Infinity", _with_number("-Infinity"), "json.invalid"),
    ("five thousand digits", _with_number("9" * 5000), "json.invalid"),
    ("Python's None", b'{"product_id":"P-1","op":None}', "json.invalid"),
    ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "json.invalid"),
    ("Avro of a registry", b"\x00\x00\x00\x00\x07\x06P-1\x02", "json.invalid"),
    ("Java serialised", b"\xac\xed\x00\x05t\x00\x03P-1", "json.invalid"),
    ("XML", b'<product id="P-1"/>', "json.invalid"),
    ("YAML", b"product_id: P-1\nop: delete\n", "json.invalid"),
    ("null", b"null", "json.not_object"),
    ("list", b'[{"product_id":"P-1","op":"delete"}]', "json.not_object"),
    ("text", b'"P-1"', "json.not_object"),
    ("number", b"42", "json.not_object"),
    ("boolean", b"true", "json.not_object"),
    ("300 levels", _nested(300), "json.too_deep"),
    ("1,000 levels", _nested(1000), "json.too_deep"),
    ("100,000 brackets", b"[" * 100_000, "json.too_deep"),
    ("300 KiB", _upsert({"title": "x" * 300_000}), "message.too_large"),
    ("300 KiB of blanks", b'{"product_id":"P-1","op":"delete"}' + b" " * 300_000, "message.too_large"),
    ("300 KiB of garbage", b"\xff" * 300_000, "message.too_large"),
]

_PLAIN: list[tuple[str, object, str]] = [
    ("no form at all", {"title": "Shoe", "price": 1}, "form.unknown"),
    ("empty object", {}, "form.unknown"),
    ("an event", {"action_name": "click", "timestamp": "2026-01-01T00:00:00Z"}, "form.unknown"),
    ("no operation", {"product_id": "P-1", "fields": {"title": "Shoe"}}, "op.missing"),
    ("null operation", {"product_id": "P-1", "op": None}, "op.missing"),
    ("unknown operation", {"product_id": "P-1", "op": "replace"}, "op.unknown"),
    ("upper-case operation", {"product_id": "P-1", "op": "UPSERT"}, "op.unknown"),
    ("operation as number", {"product_id": "P-1", "op": 1}, "op.unknown"),
    ("operation as object", {"product_id": "P-1", "op": {"name": "upsert"}}, "op.unknown"),
    ("fields in the wrong place", {"product_id": "P-1", "op": "upsert", "title": "Shoe"}, "fields.missing"),
    ("patch with null fields", {"product_id": "P-1", "op": "patch", "fields": None}, "fields.missing"),
    ("fields as list", {"product_id": "P-1", "op": "patch", "fields": [1]}, "fields.invalid"),
    ("fields as text", {"product_id": "P-1", "op": "patch", "fields": "title=Shoe"}, "fields.invalid"),
    ("negative version", {"product_id": "P-1", "op": "delete", "version": -1}, "version.invalid"),
    ("fractional version", {"product_id": "P-1", "op": "delete", "version": 1.5}, "version.invalid"),
    ("boolean version", {"product_id": "P-1", "op": "delete", "version": True}, "version.invalid"),
    ("version as word", {"product_id": "P-1", "op": "delete", "version": "v7"}, "version.invalid"),
    ("version in other digits", {"product_id": "P-1", "op": "delete", "version": "٧"}, "version.invalid"),
    ("version of 20 digits", {"product_id": "P-1", "op": "delete", "version": "9" * 20}, "version.invalid"),
    (
        "version of 2^63 as text",
        {"product_id": "P-1", "op": "delete", "version": str(2**63)},
        "version.invalid",
    ),
    ("version of 2^70", {"product_id": "P-1", "op": "delete", "version": 2**70}, "version.invalid"),
    (
        "time without offset",
        {"product_id": "P-1", "op": "delete", "event_time": "2026-01-01T00:00:00"},
        "time.invalid",
    ),
    ("time in words", {"product_id": "P-1", "op": "delete", "event_time": "yesterday"}, "time.invalid"),
    (
        "30 February",
        {"product_id": "P-1", "op": "delete", "event_time": "2026-02-30T00:00:00Z"},
        "time.invalid",
    ),
    (
        "year 0 in UTC",
        {"product_id": "P-1", "op": "delete", "event_time": "0001-01-01T00:00:00+01:00"},
        "time.invalid",
    ),
    ("time beyond the calendar", {"product_id": "P-1", "op": "delete", "event_time": 10**18}, "time.invalid"),
    ("boolean time", {"product_id": "P-1", "op": "delete", "event_time": False}, "time.invalid"),
    ("time as list", {"product_id": "P-1", "op": "delete", "event_time": [2026, 1, 1]}, "time.invalid"),
]

_IDS: list[tuple[str, bytes | None, bytes | None, str]] = [
    ("nowhere", None, b'{"op":"delete"}', "id.missing"),
    ("empty text", None, b'{"product_id":"","op":"delete"}', "id.missing"),
    ("with NUL", None, rb'{"product_id":"P\u00001","op":"delete"}', "id.invalid"),
    ("with a line break", None, rb'{"product_id":"P-1\n","op":"delete"}', "id.invalid"),
    (
        "of 130 bytes",
        None,
        '{"product_id":"%s","op":"delete"}'.replace("%s", "ä" * 65).encode(),
        "id.invalid",
    ),
    ("with a control character", None, '{"product_id":"P\x851","op":"delete"}'.encode(), "id.invalid"),
    ("of 129 characters", None, b'{"product_id":"%s","op":"delete"}' % (b"P" * 129), "id.invalid"),
    ("a fraction", None, b'{"product_id":1.5,"op":"delete"}', "id.invalid"),
    ("a boolean", None, b'{"product_id":true,"op":"delete"}', "id.invalid"),
    ("a list", None, b'{"product_id":["P-1"],"op":"delete"}', "id.invalid"),
    ("tombstone without key", None, None, "id.missing"),
    ("tombstone with empty key", b"", None, "id.missing"),
    ("tombstone with binary key", b"\xff\xfe\x00", None, "id.invalid"),
    ("tombstone with NUL in key", b"P\x00", None, "id.invalid"),
    ("tombstone with long key", b"P" * 200, None, "id.invalid"),
    ("tombstone with empty struct", b"{}", None, "id.missing"),
    ("tombstone with null in struct", b'{"id":null}', None, "id.invalid"),
    ("tombstone with nested struct", b'{"id":{"a":1}}', None, "id.invalid"),
    ("binary key, none in value", b"\xff\xfe", b'{"op":"delete"}', "id.invalid"),
]

_SOURCE = {"ts_ms": 1763631000250, "lsn": 26733736}


_DEBEZIUM: list[tuple[str, object, str]] = [
    ("null operation", {"op": None, "source": _SOURCE, "after": {"id": "P-1"}}, "op.missing"),
    ("create without row", {"op": "c", "source": _SOURCE, "after": None}, "debezium.invalid"),
    ("row as text", {"op": "u", "source": _SOURCE, "after": "P-1"}, "debezium.invalid"),
    ("row as list", {"op": "u", "source": _SOURCE, "after": ["P-1"]}, "debezium.invalid"),
    ("time as text", {"op": "d", "source": {"ts_ms": "now"}, "before": {"id": "P-1"}}, "time.invalid"),
    ("wrapped text", {"schema": {"type": "string"}, "payload": "P-1"}, "form.unknown"),
    ("wrapped list", {"schema": None, "payload": []}, "form.unknown"),
]

_OPENSEARCH: list[tuple[str, object, str]] = [
    ("no id", {"_op_type": "index", "_source": {"title": "Shoe"}}, "id.missing"),
    ("unknown operation", {"_id": "1", "_op_type": "upsert", "_source": {}}, "op.unknown"),
    ("no source", {"_id": "1", "_op_type": "index"}, "fields.missing"),
    ("source as text", {"_id": "1", "_source": "title"}, "fields.invalid"),
    ("version as word", {"_id": "1", "_version": "latest", "_op_type": "delete"}, "version.invalid"),
    ("negative version", {"_id": "1", "_version": "-3", "_op_type": "delete"}, "version.invalid"),
    ("id with a tab", {"_id": "1\t2", "_op_type": "delete"}, "id.invalid"),
]


def _cloud_events() -> list[Poison]:
    def structured(name: str, event: object, reason: str, headers: Headers = STRUCTURED) -> Poison:
        return Poison(f"cloudevents: {name}", None, _json(event), headers, reason)

    def binary(name: str, headers: Headers, value: bytes | None, reason: str) -> Poison:
        return Poison(f"cloudevents: {name}", None, value, headers, reason)

    unsupported, invalid = "cloudevents.unsupported", "cloudevents.invalid"
    batch: Headers = (("content-type", b"application/cloudevents-batch+json"),)
    avro: Headers = (("content-type", b"application/cloudevents+avro"),)
    without_id = {name: value for name, value in EVENT.items() if name != "id"}
    return [
        structured("version 0.3", {**EVENT, "specversion": "0.3", "data": {}}, unsupported),
        structured("no version", {"id": "e", "source": "/s", "type": "t", "data": {}}, unsupported),
        structured("no id", {**without_id, "data": {}}, invalid),
        structured("empty source", {**EVENT, "source": "", "data": {}}, invalid),
        structured("type as number", {**EVENT, "type": 7, "data": {}}, invalid),
        structured("data as text", {**EVENT, "data": "title"}, invalid),
        structured("data_base64 is not", {**EVENT, "data_base64": "%%"}, invalid),
        structured("data_base64 of no JSON", {**EVENT, "data_base64": "AAAA"}, "json.invalid"),
        structured("time in words", {**EVENT, "time": "noon", "data": {"title": "Shoe"}}, "time.invalid"),
        structured(
            "subject with tabs", {**EVENT, "subject": "a\tb", "data": {"title": "Shoe"}}, "id.invalid"
        ),
        structured(
            "version as word", {**EVENT, "version": "new", "data": {"title": "Shoe"}}, "version.invalid"
        ),
        structured("a batch", EVENT, unsupported, batch),
        structured("as Avro", EVENT, unsupported, avro),
        binary("binary without id", BINARY[:1], b"{}", invalid),
        binary("binary of version 2", (("ce_specversion", b"2.0"), *BINARY[1:]), b"{}", unsupported),
        binary("binary with XML", (*BINARY, ("content-type", b"text/xml")), b"<p/>", unsupported),
        binary("binary with a list", BINARY, b"[]", "json.not_object"),
        binary("binary without subject or key", BINARY, b'{"title":"Shoe"}', "id.missing"),
        binary("binary tombstone of nobody", BINARY, None, "id.missing"),
        binary("binary attribute not UTF-8", (*BINARY, ("ce_subject", b"\xff")), b"{}", "header.invalid"),
    ]


def _headers() -> list[Poison]:
    upsert, word = b'{"product_id":"P-1","op":"delete"}', (("version", b"seven"),)
    return [
        Poison("header: version as word", b"P-1", upsert, word, "version.invalid"),
        Poison("header: version on a tombstone", b"P-1", None, word, "version.invalid"),
        Poison("header: version not UTF-8", b"P-1", upsert, (("version", b"\xff"),), "header.invalid"),
        Poison("header: negative version", b"P-1", upsert, (("version", b"-1"),), "version.invalid"),
    ]
