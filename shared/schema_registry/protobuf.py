"""Protobuf to JSON, by a schema that protoc compiles from the registry's text.

Names are those of the `.proto`; numbers of 64 bits stay numbers; the well-known types are what they are in
proto3's JSON mapping, and decimals numbers. A field without presence says 0 or false when it is not on the
wire (a price may be 0), but an empty text says nothing, and neither does a 0 of a change's envelope (beside
`fields` or `after`).
"""

import json
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from schemas.wire.connect_types import interpret
from schemas.wire.errors import WireError
from shared.schema_registry import numbers
from shared.schema_registry.registry import RegisteredSchema

MAIN = "headrace_main.proto"
COMPILE_SECONDS = 30
MAX_INDEXES = 32
TEXTS = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
CHOICES = (FieldDescriptor.TYPE_ENUM, FieldDescriptor.TYPE_BOOL)
ENVELOPE = ("fields", "_source", "before", "after")
SYNTAX = 'syntax = "proto3";\n'
KNOWN: Mapping[str, str] = {
    "confluent/meta.proto": """
syntax = "proto3";
package confluent;
import "google/protobuf/descriptor.proto";
message Meta {
  string doc = 1; map<string, string> params = 2; repeated string tags = 3; repeated Rule rules = 4;
}
message Rule { string name = 1; string doc = 2; string expr = 3; string sql = 4; }
extend google.protobuf.FileOptions { Meta file_meta = 1088; }
extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }
""",
    "confluent/type/decimal.proto": """
syntax = "proto3";
package confluent.type;
message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }
""",
}
"""What Confluent's serializers use without registering it."""
BUILT_IN = "google/protobuf/"


def reader_of(schema: RegisteredSchema) -> Callable[[bytes], bytes]:
    """Return what turns indexes and a message into JSON; raises `WireError`, as it does itself."""
    pool = DescriptorPool()
    try:
        for file in descriptors(schema):
            pool.Add(file)
        main = pool.FindFileByName(MAIN)
    except (TypeError, KeyError) as error:
        raise WireError("schema.invalid", f"its messages do not fit together: {error}") from error
    top = list(main.message_types_by_name.values())
    kind = cache(lambda indexes: GetMessageClass(_message(top, indexes)))

    def as_json(payload: bytes) -> bytes:
        indexes, start = _indexes(payload)
        try:
            message = kind(indexes)()
            message.ParseFromString(payload[start:])
            return orjson.dumps(_tree(message, states_all=not _is_envelope(message.DESCRIPTOR)))
        except (DecodeError, IndexError, json_format.Error, TypeError, RecursionError) as error:
            raise WireError("schema.mismatch", f"not the Protobuf that its schema says: {error}") from error

    return as_json


def descriptors(schema: RegisteredSchema) -> Iterator[FileDescriptorProto]:
    """Yield the descriptors of what the schema imports, each after its own imports, and then its own."""
    texts: dict[str, str] = {}
    described: dict[str, FileDescriptorProto] = {}
    for name, text in {**schema.references, MAIN: schema.text}.items():
        descriptor = _described(text)
        if descriptor is None:
            texts[name] = text
        else:
            descriptor.name = name
            described[name] = descriptor
    if MAIN in described:
        imports = {name for file in described.values() for name in file.dependency} - described.keys()
        texts[MAIN] = SYNTAX + "".join(f"import {json.dumps(name)};\n" for name in sorted(imports))
    yield from (file for file in _compiled(texts).file if file.name not in described)
    yield from described.values()


def _described(text: str) -> FileDescriptorProto | None:
    """Return the descriptor that some clients register, in base64, instead of the text."""
    try:
        return FileDescriptorProto.FromString(b64decode(text, validate=True))
    except (ValueError, DecodeError):
        return None


def _compiled(texts: Mapping[str, str]) -> FileDescriptorSet:
    """Return the descriptors of `MAIN` and of all that it imports, as protoc says they are."""
    with TemporaryDirectory(prefix="headrace-proto-") as folder:
        for name, text in {**KNOWN, **texts}.items():
            if not name.startswith(BUILT_IN):
                file = _within(Path(folder), name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, "utf-8")
        out = Path(folder) / "headrace_main.bin"
        includes = [f"--proto_path={path}" for path in (folder, *_included())]
        command = [*includes, "--include_imports", f"--descriptor_set_out={out}", MAIN]
        with _compiling(folder):
            subprocess.run(
                [sys.executable, "-m", "grpc_tools.protoc", *command],
                check=True,
                capture_output=True,
                timeout=COMPILE_SECONDS,
            )
        return FileDescriptorSet.FromString(out.read_bytes())


@contextmanager
def _compiling(folder: str) -> Iterator[None]:
    try:
        yield
    except subprocess.CalledProcessError as error:
        said = (
            error.stderr.decode(errors="replace").replace(f"{folder}/", "").replace(MAIN, "line").splitlines()
        )
        why = next((line for line in said if not line.startswith(("WARNING:", "W0000"))), "")
        raise WireError("schema.invalid", f"protoc refuses it: {why[:300]}") from error
    except subprocess.TimeoutExpired as error:
        raise WireError("schema.invalid", f"protoc takes more than {COMPILE_SECONDS} s for it") from error


def _within(folder: Path, name: str) -> Path:
    """Return the file of an import, which must lie in the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise WireError("schema.invalid", f"it refers to {name!r}, which is no path of an import")
    return folder / path


@cache
def _included() -> tuple[str, ...]:
    """Return where the types are that every compiler brings: Google's well-known and common ones."""
    places = [f"{root}/_proto" for root in _roots("grpc_tools")]
    return (*places, *(str(Path(root).parent.parent) for root in _roots("google.type")))


def _roots(package: str) -> tuple[str, ...]:
    spec = find_spec(package)
    return tuple(spec.submodule_search_locations or ()) if spec else ()


def _indexes(payload: bytes) -> tuple[tuple[int, ...], int]:
    """Return which message it is (its index in the file, then in that one, ...), and where it begins."""
    count, start = _varint(payload, 0)
    if not 0 <= count <= MAX_INDEXES:
        raise WireError(
            "schema.mismatch", f"{count} message indexes; a schema has at most {MAX_INDEXES} levels"
        )
    indexes = []
    for _ in range(count):
        index, start = _varint(payload, start)
        indexes.append(index)
    return tuple(indexes) or (0,), start


def _varint(payload: bytes, start: int) -> tuple[int, int]:
    """Return a number of at most 35 bits in zigzag coding, and where the next one begins."""
    number = 0
    for shift, byte in enumerate(payload[start : start + 5]):
        number |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), start + shift + 1
    raise WireError("schema.mismatch", "it ends within its message indexes")


def _message(top: list[Descriptor], indexes: tuple[int, ...]) -> Descriptor:
    types, chosen = top, None
    for index in indexes:
        chosen = _at(types, index)
        if chosen is None:
            path = ", ".join(map(str, indexes))
            raise WireError("schema.mismatch", f"the message index [{path}] is of no message in its schema")
        types = list(chosen.nested_types)
    assert chosen is not None  # noqa: S101 - there is always one index
    return chosen


def _at(types: list[Descriptor], index: int) -> Descriptor | None:
    """Return the message of an index: the entries of maps count for Python and Go, but not for Java."""
    written = [kind for kind in types if not kind.GetOptions().map_entry]
    for counted in (types, written):
        if 0 <= index < len(counted) and counted[index] in written:
            return counted[index]
    return None


def _is_envelope(kind: Descriptor) -> bool:
    return any(name in kind.fields_by_name for name in ENVELOPE)


def _tree(message: Message, *, states_all: bool = True) -> dict[str, object]:
    """Return a message as JSON has it."""
    tree: dict[str, object] = {}
    for field in message.DESCRIPTOR.fields:
        if _is_said(message, field, states_all=states_all):
            tree[field.name] = _field(getattr(message, field.name), field)
    if not states_all:
        if type(op := tree.get("op")) is str:
            tree["op"] = op.lower().rpartition("_")[2]  # an enum's OP_UPSERT is our upsert
        source = message.DESCRIPTOR.fields_by_name.get("source")
        if "source" in tree and source is not None and source.message_type is not None:
            tree["source"] = _tree(message.source, states_all=False)
    return tree


def _is_said(message: Message, field: FieldDescriptor, *, states_all: bool) -> bool:
    if field.has_presence:
        return bool(message.HasField(field.name))
    value = getattr(message, field.name)
    if field.is_repeated or field.type in TEXTS:
        return len(value) > 0
    return states_all or bool(value) or field.type in CHOICES


def _field(value: Any, field: FieldDescriptor) -> object:  # Any: what Protobuf has
    entry = field.message_type if field.is_repeated else None
    if entry is not None and entry.GetOptions().map_entry:
        items = entry.fields_by_name["value"]
        return {_name(key): _one(value[key], items) for key in value}
    return [_one(item, field) for item in value] if field.is_repeated else _one(value, field)


def _name(key: object) -> str:
    return str(key).lower() if type(key) is bool else str(key)


def _one(value: Any, field: FieldDescriptor) -> object:  # Any: as above
    if field.message_type is not None:
        return _special(value, field.message_type.full_name)
    if type(value) is bytes:
        return b64encode(value).decode()
    if type(value) is float:
        return numbers.as_json(value, is_short=field.type == FieldDescriptor.TYPE_FLOAT)
    if field.type == FieldDescriptor.TYPE_ENUM:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    return value


def _special(message: Message, kind: str) -> object:
    """Return a message as JSON, which for some types is a text or a number."""
    if (
        kind.startswith("google.protobuf.")
        and kind.endswith("Value")
        and "value" in message.DESCRIPTOR.fields_by_name
    ):
        return _one(message.value, message.DESCRIPTOR.fields_by_name["value"])
    if kind.startswith("google.protobuf."):
        return json_format.MessageToDict(message, preserving_proto_field_name=True)
    if kind == "google.type.Decimal":
        return float(Decimal(message.value))
    if kind == "google.type.Date" and message.day:
        return f"{message.year:04}-{message.month:02}-{message.day:02}"
    if kind == "confluent.type.Decimal":
        value = {"value": b64encode(message.value).decode(), "scale": message.scale}
        return interpret(value, {"name": "io.debezium.data.VariableScaleDecimal"})
    return _tree(message)
