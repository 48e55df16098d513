"""Which form a catalogue message has, and the change that it states.

In this order: (1) `ce_specversion` header: CloudEvents, binary mode; (2) null value: tombstone;
(3) content type `application/cloudevents+json`, or `specversion`, `source` and `type` in the object:
CloudEvents, structured mode; (4) exactly `schema` and `payload`: Connect's wrapper, look inside; (5) `op`
with `before`, `after` or `source`: Debezium; (6) `__op`, `__deleted` and the like, or a Connect key struct
and no other form's marks: a flattened row; (7) `_id`, `_source` or `_op_type`: OpenSearch pull ingestion;
(8) else our own form. A connector's own messages (heartbeats, transactions, definitions) are none of these.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from schemas.wire import (
    cloudevents,
    connect,
    debezium,
    fast_path,
    flattened,
    opensearch,
    plain,
    skipped,
    tombstone,
)
from schemas.wire.change import DecodedChange, Draft, Envelope, complete
from schemas.wire.strict_json import Object, parse_object


def read_change(  # noqa: PLR0913 - a record, part by part
    *,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]],
    timestamp: datetime,
    offset: int,
    partition: int = 0,
    parts: Collection[str] = (),
) -> DecodedChange:
    """Return the change, its form, and what was cut or left out; raises `WireError`, or `SkippedMessage`.

    `timestamp`, `partition` and `offset` say when and where the broker appended it; `parts` names the
    tables whose rows are a part of a product.
    """
    envelope = Envelope.of(key, headers, timestamp=timestamp, partition=partition, offset=offset)
    draft = fast_path.read(value, envelope)
    return complete(_read(value, envelope) if draft is None else draft, envelope, parts)


def _read(value: bytes | None, envelope: Envelope) -> Draft:
    if cloudevents.is_binary(envelope):
        return cloudevents.read_binary(value, envelope, _read_data)
    if value is None:
        return tombstone.read(envelope)
    message = parse_object(value)
    if cloudevents.is_structured(message, envelope):
        return cloudevents.read_structured(message, envelope, _read_data)
    return _read_data(message, envelope)


def _read_data(message: Object, envelope: Envelope) -> Draft:
    schema = None
    if connect.is_wrapped(message):
        schema, message = message["schema"], message["payload"]
        if message is None:
            return tombstone.read(envelope)
        if type(message) is not dict:
            return plain.read({}, envelope)
    skipped.check(message)
    if debezium.matches(message):
        return debezium.read(message, envelope, schema)
    if flattened.matches(message, envelope):
        return flattened.read(message, envelope, schema)
    if opensearch.matches(message):
        return opensearch.read(message, envelope)
    return plain.read(message, envelope)
