"""Bytes to lines of text: which encoding they are in, and no line without end."""

import codecs
import io
from collections.abc import Callable, Iterator
from typing import TypeVar

from services.loader.domain.rows import visible
from services.loader.formats.content import FileContent
from shared.errors import ConfigurationError

LONGEST = 4 * 1024 * 1024
"""Characters of a line; of one that is longer the rest is passed over."""
S = TypeVar("S", str, bytes)
LOOKED_AT = 64 * 1024
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WESTERN = {
    "ascii",
    "cp1250",
    "cp1252",
    "cp1254",
    "cp1257",
    "latin_1",
    "iso8859_15",
    "iso8859_9",
    "cp437",
    "cp850",
}
"""What Windows writes where it is not UTF-8 is one of these, and nearly always cp1252; see `encoding_of`."""


def encoding_of(content: FileContent, said: str = "") -> str:
    """Return the encoding: the one that is said, the byte order mark's, UTF-8 if it is, else a guess.

    A short text in a single-byte encoding fits many; of the western ones it is taken for cp1252.
    """
    if said:
        try:
            return codecs.lookup(said).name
        except LookupError as error:
            raise ConfigurationError(f"--encoding {visible(said)}: there is no such encoding") from error
    head = content.head
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=content.whole)
    except UnicodeDecodeError as error:
        from charset_normalizer import from_bytes  # noqa: PLC0415 - for files that are not UTF-8 alone

        best = from_bytes(head[max(0, error.start - LOOKED_AT // 2) :][:LOOKED_AT]).best()
        guessed = "cp1252" if best is None else best.encoding
        return "cp1252" if guessed in WESTERN else guessed
    return "utf-8"


def decoded_head(content: FileContent, encoding: str) -> str:
    """Return the whole lines of the head as text."""
    text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(content.head, final=content.whole)
    ends = max(text.rfind("\n"), text.rfind("\r"))
    return text if content.whole or ends < 0 else text[: ends + 1]


def text_lines(content: FileContent, encoding: str) -> Iterator[str]:
    """Yield the lines with their ends; bytes that are not in the encoding are lone surrogates."""
    text = io.TextIOWrapper(content.stream, encoding=encoding, errors="surrogateescape", newline="")
    with content.reading():
        yield from _bounded(text.readline, ("\n", "\r"))


def byte_lines(content: FileContent, encoding: str) -> Iterator[bytes]:
    """Yield the lines in UTF-8 with their ends; bytes that are not in the encoding stay as they are."""
    if encoding not in {"utf-8", "utf-8-sig"}:
        for text in text_lines(content, encoding):
            yield text.encode("utf-8", "surrogateescape")
        return
    with content.reading():
        lines = _bounded(content.stream.readline, b"\n")
        first = next(lines, b"")
        if first:
            yield first.removeprefix(codecs.BOM_UTF8)
        yield from lines


def _bounded(readline: Callable[[int], S], ends: S | tuple[S, ...]) -> Iterator[S]:
    """Yield lines; of one without an end only its first `LONGEST`."""
    while line := readline(LONGEST):
        yield line
        while len(line) == LONGEST and not line.endswith(ends):
            line = readline(LONGEST)
