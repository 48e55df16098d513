"""Parts of messages that are made and read by the million: structs of msgspec, which models hold.

On the bus and in state msgspec reads and writes them whole, at a tenth of what models cost. As a field of a
message they are validated from JSON, shown in it and described by its schema as a model of the same fields.
"""

from functools import cache
from typing import Any

import msgspec
from pydantic import GetCoreSchemaHandler, ValidatorFunctionWrapHandler, create_model
from pydantic_core import CoreSchema, core_schema

from schemas.base import Value


class Part(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A frozen part of a message; made in code, its fields are not checked."""

    @classmethod
    def of_json(cls, data: Any) -> Any:  # Any: JSON
        """Return JSON of any earlier layout as it is written today."""
        return data

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # Any: a type
        """Have pydantic check what is no such part yet by a model of its fields, and show it as it is."""

        def read(value: Any, checked: ValidatorFunctionWrapHandler) -> Part:  # Any: JSON, or a part
            return value if isinstance(value, cls) else cls(**vars(checked(cls.of_json(value))))

        return core_schema.no_info_wrap_validator_function(
            read,
            handler(_model(cls)),
            serialization=core_schema.plain_serializer_function_ser_schema(msgspec.to_builtins),
        )


@cache
def _model(part: type[Part]) -> type[Value]:
    fields: dict[str, Any] = {  # Any: of each field its own type and default
        field.name: (field.type, _default(field)) for field in msgspec.structs.fields(part)
    }
    return create_model(
        part.__name__, __base__=Value, __doc__=part.__doc__, __module__=part.__module__, **fields
    )


def _default(field: msgspec.structs.FieldInfo) -> Any:  # Any: of any type
    if field.required:
        return ...
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
