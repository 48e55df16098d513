"""What Debezium's connector for MongoDB writes: documents as texts of extended JSON, and changes of parts.

`after` is the whole document, when the connector looks it up (`capture.mode`, the default). Else an update is
a patch of `updateDescription.updatedFields` and `removedFields`, or of `patch` (`$set`, `$unset`; before
Debezium 2). Of a list only a part of which was written (`tags.0`, `truncatedArrays`) nothing is known as a
whole: it stays as it was, and is said to be left out.
"""

from typing import Any

from schemas.wire import extended_json
from schemas.wire.errors import LeftOut, WireError, shown
from schemas.wire.fields import Fields, read_fields
from schemas.wire.strict_json import Object

_PARTS = ("updateDescription", "patch")


def matches(message: Object) -> bool:
    """Whether a change event is of MongoDB."""
    source = message.get("source")
    connector = source.get("connector") if type(source) is dict else None
    return connector == "mongodb" or is_partial(message)


def document(text: object) -> object:
    """Return a document that is written as a text; anything else as it is."""
    return extended_json.read(text) if type(text) is str else text


def is_partial(message: Object) -> bool:
    """Whether the event says which parts of the document it changed."""
    return any(message.get(name) is not None for name in _PARTS)


def read_update(message: Object) -> Fields:
    """Return the attributes that a change of parts writes, null for those it removes."""
    updated, removed, arrays = _stated(message)
    truncated = [array.get("field") for array in arrays if type(array) is dict]
    parts = {name for name in (*updated, *removed, *truncated) if type(name) is str and _is_of_a_list(name)}
    parts |= {name for name in truncated if type(name) is str}
    attributes: dict[str, Any] = {name: None for name in removed if type(name) is str}
    attributes |= {name: value for name, value in updated.items() if name != "_id"}
    fields = read_fields({name: value for name, value in attributes.items() if name not in parts})
    return fields._replace(left_out=(*fields.left_out, *map(_partial, sorted(parts))))


def _stated(message: Object) -> tuple[Object, list[Any], list[Any]]:
    """Return what was written, the names of what was removed, and the lists that were truncated."""
    update = message.get("updateDescription")
    if type(update) is dict:
        updated, removed = document(update.get("updatedFields")) or {}, update.get("removedFields") or []
        arrays = update.get("truncatedArrays") or []
    else:
        patch = document(message.get("patch"))
        operators = patch if type(patch) is dict else {}
        is_whole = "$set" not in operators and "$unset" not in operators  # the document was replaced
        updated, unset = operators if is_whole else operators.get("$set", {}), operators.get("$unset", {})
        removed, arrays = list(unset) if type(unset) is dict else unset, []
    if type(updated) is not dict or type(removed) is not list or type(arrays) is not list:
        raise WireError("debezium.invalid", f"{shown(update or message.get('patch'))} names no fields")
    return updated, removed, arrays


def _is_of_a_list(name: str) -> bool:
    return any(part.isdigit() for part in name.split("."))


def _partial(name: str) -> LeftOut:
    return WireError(
        "field.partial",
        f"only a part of the list {shown(name)} was sent: set the connector's capture.mode to "
        "change_streams_update_full",
    ).leaving_out(name)
