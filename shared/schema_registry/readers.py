"""What reads messages by a schema, whichever language the schema is in."""

from collections.abc import Callable

from schemas.wire.errors import WireError, shown
from shared.schema_registry.registry import RegisteredSchema


def reader_of(schema: RegisteredSchema) -> Callable[[bytes], bytes]:
    """Return what turns a message into the JSON that it stands for (blocking); raises `WireError`.

    The libraries are loaded by whoever meets their schemas first.
    """
    match schema.kind:
        case "JSON":
            from shared.schema_registry.json_schema import JsonReader  # noqa: PLC0415  lazy: see above

            return JsonReader(schema)
        case "AVRO":
            from shared.schema_registry import avro  # noqa: PLC0415  lazy: see above

            return avro.reader_of(schema)
        case "PROTOBUF":
            from shared.schema_registry import protobuf  # noqa: PLC0415  lazy: see above

            return protobuf.reader_of(schema)
        case kind:
            raise WireError("schema.invalid", f"its type is {shown(kind)}: use AVRO, JSON or PROTOBUF")
