"""OpenSearch pull ingestion: `{"_id", "_version"?, "_op_type"?, "_source"}`.

`index` (also when `_op_type` is absent) and `create` write the whole document, `update` some fields of
it, `delete` takes it away. `_version` is OpenSearch's external version, a number or its digits.
"""

from collections.abc import Mapping

from schemas.catalogue import Operation
from schemas.wire.change import Draft, Envelope, read_operation
from schemas.wire.connect import key_identity
from schemas.wire.fields import NONE
from schemas.wire.plain import written
from schemas.wire.strict_json import Object

OPERATIONS: Mapping[str, Operation] = {
    "index": "upsert",
    "create": "upsert",
    "update": "patch",
    "delete": "delete",
}


def matches(message: Object) -> bool:
    """Whether the object has this form's marks."""
    return "_source" in message or "_op_type" in message or "_id" in message


def read(message: Object, envelope: Envelope) -> Draft:
    """Read one document operation; without `_id` the message key is the id."""
    op = read_operation(message.get("_op_type", "index"), OPERATIONS)
    product_id = message.get("_id")
    return Draft(
        "opensearch",
        key_identity(envelope.key) if product_id is None else product_id,
        op,
        NONE if op == "delete" else written(message.get("_source"), "_source"),
        message.get("_version"),
    )
