"""One catalogue change written in every form that can state it, as producers in the field write it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from schemas.base import FieldValue
from schemas.catalogue import ProductChange

Headers = tuple[tuple[str, bytes], ...]
UNAVAILABLE = "__debezium_unavailable_value"
_OPENSEARCH = {"upsert": "index", "patch": "update", "delete": "delete"}
_TYPES = {
    "upsert": "shop.product.upserted",
    "patch": "shop.product.patched",
    "delete": "shop.product.deleted",
}


class Wire(NamedTuple):
    """A message as it lies in Kafka."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def forms(change: ProductChange) -> dict[str, Wire]:
    """Return the change in each form by name; its time must be whole milliseconds.

    OpenSearch and a tombstone have no event time: it is the record's timestamp. A table's row comes whole.
    """
    rows = {
        "debezium": _debezium(change),
        "debezium_wrapped": _wrapped(change),
        "flattened": _flattened(change),
    }
    written = {
        "plain": Wire(change.key(), change.encode()),
        **({} if change.op == "patch" else rows),
        "opensearch": _opensearch(change),
        "cloudevents_binary": _binary(change),
        "cloudevents_structured": _structured(change),
    }
    if change.op == "delete":
        written["tombstone"] = Wire(change.key(), None, (("version", str(change.version).encode()),))
        written["cloudevents_tombstone"] = _binary(change)._replace(value=None)
    return written


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _row_change(change: ProductChange) -> dict[str, Any]:
    row: dict[str, FieldValue] = {"product_id": change.product_id, **change.fields}
    deleted = change.op == "delete"
    milliseconds = (change.event_time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return {
        "before": {"product_id": change.product_id} if deleted else None,
        "after": None if deleted else row,
        "source": {
            "connector": "postgresql",
            "ts_ms": milliseconds,
            "lsn": change.version,
            "snapshot": "false",
        },
        "op": {"upsert": "c", "delete": "d"}.get(change.op),
        "ts_ms": milliseconds + 17,
    }


def _debezium(change: ProductChange) -> Wire:
    return Wire(_json({"product_id": change.product_id}), _json(_row_change(change)))


def _wrapped(change: ProductChange) -> Wire:
    column = {"type": "string", "optional": False, "field": "product_id"}
    schema = {"type": "struct", "fields": [{"type": "struct", "fields": [column], "field": "after"}]}
    key = {"schema": {"type": "struct", "fields": [column]}, "payload": {"product_id": change.product_id}}
    return Wire(_json(key), _json({"schema": schema, "payload": _row_change(change)}))


def _flattened(change: ProductChange) -> Wire:
    event = _row_change(change)
    added = {
        "__op": event["op"],
        "__deleted": "true" if change.op == "delete" else "false",
        "__lsn": change.version,
        "__source_ts_ms": event["source"]["ts_ms"],
    }
    return Wire(
        _json({"product_id": change.product_id}), _json({**(event["after"] or event["before"]), **added})
    )


def _opensearch(change: ProductChange) -> Wire:
    message = {"_id": change.product_id, "_version": str(change.version), "_op_type": _OPENSEARCH[change.op]}
    return Wire(
        None, _json(message if change.op == "delete" else {**message, "_source": dict(change.fields)})
    )


def _attributes(change: ProductChange) -> dict[str, str]:
    return {
        "specversion": "1.0",
        "id": f"{change.product_id}@{change.version}",
        "source": "/shop/catalogue",
        "type": _TYPES[change.op],
        "subject": change.product_id,
        "time": change.event_time.isoformat(),
        "version": str(change.version),
    }


def _data(change: ProductChange) -> Mapping[str, object]:
    return {"fields": dict(change.fields)}


def _binary(change: ProductChange) -> Wire:
    headers = [(f"ce_{name}", text.encode()) for name, text in _attributes(change).items()]
    return Wire(None, _json(_data(change)), (*headers, ("content-type", b"application/json")))


def _structured(change: ProductChange) -> Wire:
    event = {**_attributes(change), "datacontenttype": "application/json", "data": _data(change)}
    return Wire(None, _json(event), (("content-type", b"application/cloudevents+json"),))
