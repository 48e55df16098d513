"""A table's row, or a collection's document, as the attributes of a product.

The columns of its key are attributes too, also those that only the key has; but a key that is one column
called `id`, `product_id` or `_id` is the product id and nothing else. A large column that an update left
alone (TOAST) comes as a placeholder: it is kept as it was. A column that cannot be read is left out.
"""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import md5
from typing import Any, NamedTuple
from uuid import UUID

from schemas.wire.connect_types import field_schemas, guess, interpret
from schemas.wire.errors import LeftOut, WireError
from schemas.wire.fields import Fields, read_fields
from schemas.wire.strict_json import Object

_DOCUMENT_ID = "_id"
ID_COLUMNS = ("product_id", "id", _DOCUMENT_ID)

_PLAIN = (int, float, bool, type(None))
_TEXT = "__debezium_unavailable_value"
_BASE64 = b64encode(_TEXT.encode()).decode()
_MD5 = md5(_TEXT.encode(), usedforsecurity=False).digest()
_UUID = str(UUID(bytes=_MD5, version=3))  # as Java's UUID.nameUUIDFromBytes
_UNAVAILABLE_TEXTS = {_TEXT, _BASE64, _TEXT.encode().hex(), f'{{"{_TEXT}":"{_TEXT}"}}', _UUID}
_UNAVAILABLE_LISTS = [[_TEXT], [_BASE64], [_UUID], [*_TEXT.encode()]]


class Row(NamedTuple):
    """The attributes of a row, and the names of those that stay as they were."""

    fields: Fields
    kept: tuple[str, ...] = ()


def read_row(row: Object, schema: object, key: Mapping[str, object]) -> Row:
    """Return what a row says, by the schema of its struct (None: there is none)."""
    schemas = field_schemas(schema)
    columns: Object = {}
    kept: list[str] = []
    left_out: list[LeftOut] = []
    for name, value in {**key, **row}.items():
        if name in ID_COLUMNS and len(key) == 1 and (name in key or name == _DOCUMENT_ID):
            continue
        schema = schemas.get(name)
        if (schema is None and type(value) in _PLAIN) or name not in row:
            columns[name] = value  # what only the key has was read with it
        elif is_unavailable(value):
            kept.append(name)
        else:
            try:
                columns[name] = _read(value, schema)
            except WireError as error:
                left_out.append(error.leaving_out(name))
    fields = read_fields(columns)
    return Row(fields._replace(left_out=(*left_out, *fields.left_out)), tuple(kept))


def key_of(row: Object) -> Object:
    """Return the identity of a row whose message has no key."""
    return next(({name: row[name]} for name in ID_COLUMNS if row.get(name) is not None), {})


def is_unavailable(value: object) -> bool:
    """Whether this stands for a large value that the database did not log again, in any type."""
    if type(value) is str:
        return value in _UNAVAILABLE_TEXTS
    if type(value) is list:
        return value in _UNAVAILABLE_LISTS
    return type(value) is dict and value == {_TEXT: _TEXT}


def _read(value: Any, schema: Object | None) -> Any:  # Any: JSON
    if schema is None or (schema.get("type") == "string" and "name" not in schema):
        return guess(value)  # MariaDB calls text what its user calls JSON
    return interpret(value, schema)
