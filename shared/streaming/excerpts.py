"""Records that are too long to be kept: the head of each long part, and what the whole was."""

from hashlib import sha256

import orjson
from msgspec.structs import replace

from shared.records import HEAD_BYTES, Excerpt, Headers, Record

CUT = "headrace.cut"
"""The header of a letter that is not whole: of each part that was cut its size in bytes and its SHA-256."""


def shortened(record: Record) -> tuple[Record, tuple[Excerpt, ...]]:
    """Return the record with no part longer than `HEAD_BYTES`, and what was cut, by whomever.

    Headers are left out when all of them together are longer.
    """
    excerpts = list(record.damage.excerpts) if record.damage else []
    parts: dict[str, bytes | None] = {"key": record.key, "value": record.value}
    for name, part in parts.items():
        if part is not None and len(part) > HEAD_BYTES:
            excerpts.append(_whole(name, part))
            parts[name] = part[:HEAD_BYTES]
    headers, content = record.headers, _content(record.headers)
    if len(content) > HEAD_BYTES:
        excerpts.append(_whole("headers", content))
        headers = ()
    return replace(record, key=parts["key"], value=parts["value"], headers=headers), tuple(excerpts)


def header(excerpts: tuple[Excerpt, ...]) -> Headers:
    """Return the header that says what was cut; none when nothing was."""
    if not excerpts:
        return ()
    named = {cut.part: {"bytes": cut.size, "sha256": cut.sha256} for cut in excerpts}
    return ((CUT, orjson.dumps(named, option=orjson.OPT_SORT_KEYS)),)


def _whole(part: str, content: bytes) -> Excerpt:
    return Excerpt(part, len(content), sha256(content).hexdigest())


def _content(headers: Headers) -> bytes:
    return b"".join(name.encode() + b"\0" + (value or b"") + b"\0" for name, value in headers)
