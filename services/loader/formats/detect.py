"""Which format a file has, by what it says rather than by its name, and its rows."""

from typing import NamedTuple

from services.loader.domain import shopify
from services.loader.domain.columns import normal
from services.loader.domain.rows import FileUnits
from services.loader.formats import delimited, json_lines, merchant, parquet
from services.loader.formats.content import FileContent
from services.loader.formats.text import decoded_head, encoding_of, text_lines
from services.loader.request import FileFormat, ReadOptions
from shared.errors import ConfigurationError

GOOGLES = {"id", "title", "link", "price", "availability"}
"""Columns that a Merchant feed must have; its prices have a decimal point, whatever the country."""


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
    if options.format is FileFormat.PARQUET or content.head.startswith(parquet.MAGIC):
        return OpenedFile(FileFormat.PARQUET, "Parquet", parquet.parquet_rows(content), typed=True)
    encoding = encoding_of(content, options.encoding)
    head = decoded_head(content, encoding).lstrip("\ufeff")
    kind = _looks_like(content, head) if options.format is FileFormat.AUTO else options.format
    if kind is FileFormat.MERCHANT:
        rows = merchant.merchant_rows(content, options.encoding)
        return OpenedFile(kind, "Merchant feed in XML", rows, decimal=".")
    if kind is FileFormat.JSONL:
        return OpenedFile(
            kind, f"JSON Lines, {encoding}", json_lines.json_rows(content, encoding), typed=True
        )
    return _delimited(content, options, encoding=encoding, head=head)


def _looks_like(content: FileContent, head: str) -> FileFormat:
    start = head.lstrip()
    if not start:
        raise ConfigurationError(f"{content.name} is empty")
    if start.startswith("<"):
        return FileFormat.MERCHANT
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
    names = {*map(normal, table.columns)}
    if options.format is FileFormat.SHOPIFY or (
        options.format is FileFormat.AUTO and shopify.is_export(table.columns)
    ):
        return OpenedFile(
            FileFormat.SHOPIFY, f"Shopify export, {description}", shopify.merged(table.rows), typed=True
        )
    if dialect.delimiter == "\t" and names >= GOOGLES:
        return OpenedFile(FileFormat.MERCHANT, f"Merchant feed, {description}", table.rows, decimal=".")
    return OpenedFile(FileFormat.CSV, description, table.rows)
