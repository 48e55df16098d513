"""JSON Lines: an object a line."""

import orjson

from services.loader.domain.rows import FileRow, FileUnits, LineFault, visible
from services.loader.formats.content import FileContent
from services.loader.formats.text import LONGEST, byte_lines

FIX = "write one JSON object a line, in UTF-8 (jq -c . FILE; of an array: jq -c '.[]' FILE)"


def json_rows(content: FileContent, encoding: str) -> FileUnits:
    """Yield the objects; empty lines are passed over."""
    for number, line in enumerate(byte_lines(content, encoding), 1):
        if line.isspace():
            continue
        if len(line) >= LONGEST:
            yield LineFault(number, "line.too_long", f"a line has less than {LONGEST:,} bytes: {FIX}")
            continue
        try:
            tree = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield LineFault(number, "json.invalid", f"{visible(error.msg, 100)}: {FIX}", value=_start(line))
            continue
        if type(tree) is dict:
            yield FileRow(number, tree)
        else:
            yield LineFault(number, "json.not_object", FIX, value=_start(line))


def _start(line: bytes) -> str:
    return visible(line[:200].decode("utf-8", "backslashreplace").strip())
