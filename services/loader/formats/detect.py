"""Which format a file has, by what it says rather than by its name, and its rows."""

from typing import NamedTuple

from services.loader.domain.rows import FileUnits
from services.loader.formats import delimited, json_lines
from services.loader.formats.content import FileContent
from services.loader.formats.text import decoded_head, encoding_of, text_lines
from services.loader.request import FileFormat, ReadOptions
from shared.errors import ConfigurationError


class OpenedFile(NamedTuple):
    """A file's rows as they are asked for, and what its format says of all of them."""

    format: FileFormat
    description: str
    rows: FileUnits
    typed: bool = False
    """Numbers are told from texts."""
    decimal: str = ""
    """What the format says of prices."""


def read_rows(content: FileContent, options: ReadOptions) -> OpenedFile:
    """Return the rows of a file; raises `ConfigurationError` for what cannot be read at all."""
    encoding = encoding_of(content, options.encoding)
    head = decoded_head(content, encoding).lstrip("\ufeff")
    kind = options.format
    if kind is FileFormat.AUTO:
        kind = _looks_like(content, head)
    if kind is FileFormat.JSONL:
        return OpenedFile(
            kind, f"JSON Lines, {encoding}", json_lines.json_rows(content, encoding), typed=True
        )
    return _delimited(content, options, encoding=encoding, head=head)


def _looks_like(content: FileContent, head: str) -> FileFormat:
    start = head.lstrip()
    if not start:
        raise ConfigurationError(f"{content.name} is empty")
    if start.startswith("["):
        raise ConfigurationError(
            f"{content.name} is one JSON array: write one object a line, jq -c '.[]' FILE | headrace load -"
        )
    return FileFormat.JSONL if start.startswith("{") else FileFormat.CSV


def _delimited(content: FileContent, options: ReadOptions, *, encoding: str, head: str) -> OpenedFile:
    dialect = delimited.dialect_of(head, options.delimiter)
    table = delimited.read_table(text_lines(content, encoding), dialect)
    name = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}.get(dialect.delimiter, dialect.delimiter)
    description = f"delimited by {name}, {encoding}"
    return OpenedFile(FileFormat.CSV, description, table.rows)
