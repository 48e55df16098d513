"""Our own JSON: `{"product_id", "op": upsert|patch|delete, "version"?, "event_time"?, "fields"}`.

`replaces` of a patch adds names whose dotted attributes it takes away, for who sends dotted names rather than
objects; `kept` of an upsert names attributes that it leaves as they were.
"""

from collections.abc import Mapping

from schemas.catalogue import Operation
from schemas.wire.change import Draft, Envelope, read_operation
from schemas.wire.connect import key_identity
from schemas.wire.errors import WireError, shown
from schemas.wire.fields import NONE, Fields, checked_name, read_fields
from schemas.wire.strict_json import Object

OPERATIONS: Mapping[str, Operation] = {"upsert": "upsert", "patch": "patch", "delete": "delete"}
_NAMES = {"product_id", "op", "version", "event_time", "replaces", "kept"}


def read(message: Object, envelope: Envelope) -> Draft:
    """Read our own form; without `product_id` the message key is the id."""
    if "product_id" not in message and "op" not in message and "fields" not in message:
        raise WireError(
            "form.unknown",
            "neither Headrace's own form (product_id, op, fields) nor Debezium, OpenSearch (_id, _source) or "
            "CloudEvents (specversion): send one of them; of ExtractNewRecordState, rows with add.fields=op",
        )
    op = read_operation(message.get("op"), OPERATIONS)
    product_id = message.get("product_id")
    bare = op == "delete" or _is_bare(message)
    fields = NONE if bare else written(message.get("fields"), "fields")
    if "replaces" in message and op == "patch":
        named = _names(message, "replaces")
        fields = fields._replace(replaces=tuple(dict.fromkeys((*fields.replaces, *named))))
    return Draft(
        "plain",
        key_identity(envelope.key) if product_id is None else product_id,
        op,
        fields,
        message.get("version"),
        message.get("event_time"),
        kept=() if op == "delete" else _names(message, "kept"),
    )


def _names(message: Object, where: str) -> tuple[str, ...]:
    """Return the names of attributes that are listed there."""
    names = message.get(where, [])
    if type(names) is not list or not all(type(name) is str for name in names):
        raise WireError("field.invalid", f"{where!r} is {shown(names)}: send a list of attributes' names")
    return tuple(map(checked_name, names))


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
