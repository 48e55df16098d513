"""Google Merchant feeds in XML: RSS 2.0 or Atom, whose items have elements of the `g:` namespace.

No document type may declare an entity (defusedxml refuses it before it is expanded), nothing outside the file
is looked up, and of a file no more is kept than the item that is read.
"""

from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from schemas.base import MAX_DEPTH
from services.loader.domain.rows import FileRow, FileUnits, LineFault, visible
from services.loader.formats.content import DamagedFileError, FileContent
from shared.errors import ConfigurationError

ITEMS = ("item", "entry")
LONGEST_ITEM = 1024 * 1024
"""Characters; four times what a message may have."""
PIECE = 64 * 1024
LONGEST_TOKEN = 8 * 1024 * 1024
"""Bytes without an end of a name, an attribute or a comment."""
HREF = "href"


def merchant_rows(content: FileContent, encoding: str = "") -> FileUnits:
    """Yield the items by their elements' names without namespace; one that comes more than once is a list."""
    items = _Items()
    parser = DefusedXMLParser(target=items, encoding=encoding or None, forbid_external=True)
    items.parser = parser.parser
    silent = 0
    try:
        with content.reading():
            while piece := content.stream.read1(PIECE):
                heard = items.heard
                parser.feed(piece)
                silent = silent + len(piece) if heard == items.heard else 0
                if silent > LONGEST_TOKEN:
                    raise DamagedFileError(f"{content.name}: line {items.line}: markup that does not end")
                yield from items.taken()
        parser.close()
    except DefusedXmlException as error:
        raise ConfigurationError(
            f"{content.name} declares entities of its own, or refers to other files: a feed needs neither"
        ) from error
    except ParseError as error:
        yield from items.taken()
        raise DamagedFileError(f"{content.name} is not well-formed: {visible(str(error), 100)}") from error
    yield from items.taken()


class _Items:
    """What the parser calls: keeps the elements of the item that is read, and the items that are whole."""

    def __init__(self) -> None:
        self.parser: Any = None  # Any: pyexpat's has no name
        self.heard = 0
        """Calls so far."""
        self._whole: list[FileRow | LineFault] = []
        self._nested: list[dict[str, Any]] = []
        """The item, and the elements within it that are open, as what they hold."""
        self._text: list[str] = []
        self._size = 0
        self._started = 0

    @property
    def line(self) -> int:
        """Where the parser is."""
        return int(self.parser.CurrentLineNumber)

    def taken(self) -> list[FileRow | LineFault]:
        """Return the items since the last call."""
        whole, self._whole = self._whole, []
        return whole

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.heard += 1
        name = tag.rpartition("}")[2]
        if not self._nested:
            if name in ITEMS:
                self._nested, self._size, self._started = [{}], 0, self.line
            return
        if len(self._nested) > MAX_DEPTH:
            raise DamagedFileError(f"line {self.line}: elements are nested more than {MAX_DEPTH} deep")
        self._text.clear()
        self._nested.append({HREF: attributes[HREF]} if attributes.get(HREF) else {})

    def data(self, text: str) -> None:
        self.heard += 1
        if self._nested:
            self._size += len(text)
            if self._size <= LONGEST_ITEM:
                self._text.append(text)

    def end(self, tag: str) -> None:
        self.heard += 1
        if not self._nested:
            return
        inner, name = self._nested.pop(), tag.rpartition("}")[2]
        if not self._nested:
            self._whole.append(self._item(inner))
            return
        text = "".join(self._text).strip()
        self._text.clear()
        value = inner.get(HREF, text) if inner.keys() <= {HREF} else inner
        outer = self._nested[-1]
        if name not in outer:
            outer[name] = value
        elif type(outer[name]) is list:
            outer[name].append(value)
        else:
            outer[name] = [outer[name], value]

    def _item(self, values: dict[str, Any]) -> FileRow | LineFault:
        if self._size > LONGEST_ITEM:
            fix = f"an item has at most {LONGEST_ITEM:,} characters"
            return LineFault(self._started, "row.too_long", fix, value=visible(values.get("id")))
        return FileRow(self._started, values)
