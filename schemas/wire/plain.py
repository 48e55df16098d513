"""Our own JSON: `{"product_id", "op": upsert|patch|delete, "version"?, "event_time"?, "fields"}`."""

from collections.abc import Mapping

from schemas.wire.change import Draft, Envelope, Operation, read_operation
from schemas.wire.connect import key_identity
from schemas.wire.errors import WireError
from schemas.wire.fields import NONE, Fields, read_fields
from schemas.wire.strict_json import Object

OPERATIONS: Mapping[str, Operation] = {"upsert": "upsert", "patch": "patch", "delete": "delete"}
_NAMES = {"product_id", "op", "version", "event_time"}


def read(message: Object, envelope: Envelope) -> Draft:
    """Read our own form; without `product_id` the message key is the id."""
    if "product_id" not in message and "op" not in message and "fields" not in message:
        raise WireError(
            "form.unknown",
            "neither Headrace's own form (product_id, op, fields) nor Debezium, OpenSearch (_id, _source) or "
            "CloudEvents (specversion): send one of them",
        )
    op = read_operation(message.get("op"), OPERATIONS)
    product_id = message.get("product_id")
    return Draft(
        "plain",
        key_identity(envelope.key) if product_id is None else product_id,
        op,
        NONE if op == "delete" or _is_bare(message) else written(message.get("fields"), "fields"),
        message.get("version"),
        message.get("event_time"),
    )


def _is_bare(message: Object) -> bool:
    """Whether the product simply has no attributes (ours is encoded so), rather than misplaced ones."""
    return "fields" not in message and message.keys() <= _NAMES


def written(source: object, name: str) -> Fields:
    """Return the attributes of a written product, which must be there."""
    if source is None:
        raise WireError(
            "fields.missing", f"an upsert or patch needs its attributes as an object under {name!r}"
        )
    return read_fields(source)
