"""CloudEvents 1.0 over Kafka: binary mode (`ce_` headers) and structured mode (one JSON object).

The data is a change in any other form (our own, Debezium, OpenSearch), or simply the product's
attributes; then `subject` is the product id and the end of `type` says what was done (`...deleted`,
`...patched`, else an upsert). An extension attribute `version` orders writes; `time` is the event time.
No data in binary mode is a tombstone of `subject` (else of the key). Debezium's converter puts the images of
the row into the data, and the rest of its event into extension attributes (`iodebeziumop`, `iodebeziumlsn`).
"""

from base64 import b64decode
from collections.abc import Callable

from schemas.base import milliseconds
from schemas.catalogue import Operation
from schemas.wire.change import Draft, Envelope, read_moment
from schemas.wire.connect import is_wrapped, key_identity
from schemas.wire.errors import WireError, shown
from schemas.wire.fields import NONE
from schemas.wire.plain import written
from schemas.wire.source_block import CLOUD_EVENTS_PREFIX, cloud_events_source
from schemas.wire.strict_json import Object, parse_object

ReadData = Callable[[Object, Envelope], Draft]

STRUCTURED = "application/cloudevents"
_REQUIRED = ("id", "source", "type")
_DELETED = ("delete", "deleted", "remove", "removed")
_PATCHED = ("patch", "patched")


def is_binary(envelope: Envelope) -> bool:
    """Whether the headers are those of binary mode."""
    return "ce_specversion" in envelope.headers


def is_structured(message: Object, envelope: Envelope) -> bool:
    """Whether the content type says structured mode, or the object looks like it."""
    content_type = envelope.headers.get("content-type", b"")
    return content_type.lower().startswith(STRUCTURED.encode()) or (
        "specversion" in message and "source" in message and "type" in message
    )


def read_binary(value: bytes | None, envelope: Envelope, read_data: ReadData) -> Draft:
    """Read binary mode: attributes in headers, the data is the value."""
    attributes: Object = {
        name[3:]: envelope.header(name) for name in envelope.headers if name.startswith("ce_")
    }
    _check(attributes)
    if value is None:
        return _draft(attributes, None, envelope=envelope, read_data=read_data)
    content_type = envelope.header("content-type")
    if content_type is not None and not _is_json(content_type):
        raise WireError("cloudevents.unsupported", f"data of type {shown(content_type)}: send JSON")
    return _draft(attributes, parse_object(value), envelope=envelope, read_data=read_data)


def read_structured(event: Object, envelope: Envelope, read_data: ReadData) -> Draft:
    """Read structured mode: attributes and data in one object."""
    content_type = (envelope.header("content-type") or "").lower()
    if (content_type.startswith(STRUCTURED) and not _is_json(content_type)) or "batch" in content_type:
        raise WireError(
            "cloudevents.unsupported", f"{shown(content_type)}: send application/cloudevents+json, unbatched"
        )
    _check(event)
    data = event.get("data")
    if "data_base64" in event:
        data = _decoded(event["data_base64"])
    elif data is not None and type(data) is not dict:
        raise WireError("cloudevents.invalid", f"data {shown(data)} is not a JSON object")
    return _draft(event, data, envelope=envelope, read_data=read_data)


def _check(attributes: Object) -> None:
    if attributes.get("specversion") != "1.0":
        raise WireError(
            "cloudevents.unsupported",
            f"specversion {shown(attributes.get('specversion'))}: send CloudEvents 1.0",
        )
    for name in _REQUIRED:
        if type(attributes.get(name)) is not str or not attributes[name]:
            raise WireError("cloudevents.invalid", f"the required attribute {name!r} is missing or not text")


def _draft(attributes: Object, data: Object | None, *, envelope: Envelope, read_data: ReadData) -> Draft:
    if data is not None and _is_debezium(attributes, data):
        draft = read_data(_event(attributes, data), envelope)
        draft.form = "cloudevents"
        return draft
    subject = attributes.get("subject") or key_identity(envelope.key)
    op = "delete" if data is None else _operation(attributes["type"])
    if data is None or _is_attributes(data):
        fields = NONE if op == "delete" else written(data, "data")
        draft = Draft("cloudevents", subject, op, fields)
    else:
        own = "product_id" in data or "fields" in data
        draft = read_data({"product_id": subject, "op": op, **data} if own else data, envelope)
    draft.form = "cloudevents"
    draft.version = attributes.get("version") if draft.version is None else draft.version
    draft.event_time = attributes.get("time") if draft.event_time is None else draft.event_time
    return draft


def _is_debezium(attributes: Object, data: Object) -> bool:
    """Whether the event is of Debezium's converter, with or without its extension attributes."""
    row = data["payload"] if is_wrapped(data) else data
    return type(row) is dict and (
        f"{CLOUD_EVENTS_PREFIX}op" in attributes or attributes["type"].startswith("io.debezium.")
    )


def _event(attributes: Object, data: Object) -> Object:
    """Return the change event that the converter took apart."""
    if is_wrapped(data):
        return {"schema": data["schema"], "payload": _event(attributes, data["payload"])}
    removed = data.get("after") is None and data.get("before") is not None
    return {
        "op": attributes.get(f"{CLOUD_EVENTS_PREFIX}op") or ("d" if removed else "u"),
        "source": cloud_events_source(attributes),
        "ts_ms": None if attributes.get("time") is None else milliseconds(read_moment(attributes["time"])),
        **data,
    }


def _is_attributes(data: Object) -> bool:
    """Whether the data is a product itself rather than a change in another form."""
    marks = ("product_id", "fields", "_source", "_op_type", "payload", "before", "after")
    return not any(mark in data for mark in marks)


def _operation(event_type: str) -> Operation:
    last = event_type.lower().replace("_", ".").replace("-", ".").rpartition(".")[2]
    if last.endswith(_DELETED):
        return "delete"
    return "patch" if last.endswith(_PATCHED) else "upsert"


def _is_json(content_type: str) -> bool:
    media = content_type.partition(";")[0].strip().lower()
    return media.endswith(("/json", "+json"))


def _decoded(data: object) -> Object:
    try:
        return parse_object(b64decode(data if type(data) is str else "?", validate=True))
    except WireError:
        raise
    except ValueError as error:
        raise WireError("cloudevents.invalid", "data_base64 is not base64") from error
