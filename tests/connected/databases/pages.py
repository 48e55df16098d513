"""What `docs/databases.md` shows: the tests run it word for word."""

import re
from typing import NamedTuple

from tests.architecture.pages import ROOT, blocks

PAGE = ROOT / "docs" / "databases.md"
FLATTENED = "ExtractNewRecordState"


class Shown(NamedTuple):
    """The SQL and the connector of one database, and what its file has more for flattened rows."""

    rights: str
    connector: str
    flattened: str


def shown(connector: str, position: str) -> Shown:
    """Return what the page has for a connector class; `position` is in its `add.fields` alone."""
    properties = [code for language, code in blocks(PAGE) if language == "properties"]
    [file] = [code for code in properties if f".{connector}\n" in code]
    [flat] = [code for code in properties if FLATTENED in code]
    [fields] = [code for code in properties if re.search(rf"add\.fields=.*\b{position}\b", code)]
    return Shown(_rights(connector), file, flat + fields)


def _rights(connector: str) -> str:
    """Return the SQL that stands before the file of the connector."""
    before = ""
    for language, code in blocks(PAGE):
        if language == "sql":
            before = code
        elif f".{connector}\n" in code:
            return before
    raise AssertionError(f"no SQL before {connector}")


def environment() -> dict[str, str]:
    """Return the variables that the page gives every worker."""
    return dict(re.findall(r"(HEADRACE_\w+)='(.*?)'", PAGE.read_text("utf-8")))
