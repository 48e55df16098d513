"""What is to be loaded, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from shared.errors import ConfigurationError


class FileFormat(StrEnum):
    """How a file is written; `AUTO`: it is looked at."""

    AUTO = "auto"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    MERCHANT = "merchant"
    SHOPIFY = "shopify"


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What a person says of files, where what they look like is not enough."""

    format: FileFormat = FileFormat.AUTO
    encoding: str = ""
    delimiter: str = ""
    id_column: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    """The column of a field."""
    decimal: str = ""
    currency: str = ""

    def __post_init__(self) -> None:
        """Raise `ConfigurationError` for what cannot be."""
        if self.delimiter and (len(self.delimiter) != 1 or self.delimiter in '\r\n"'):
            raise ConfigurationError("--delimiter is one character, neither a quote nor the end of a line")
        if self.decimal not in ("", ".", ","):
            raise ConfigurationError("--decimal is . or ,")


@dataclass(frozen=True, kw_only=True)
class LoadRequest:
    """Files that make up one load of a source."""

    files: tuple[str, ...]
    source: str
    options: ReadOptions = ReadOptions()
    texts: tuple[str, ...] = ()
    """Fields of which one at least is embedded."""
    replace: bool = False
    """What earlier loads of the source had, and this one has not, is deleted."""
    yes: bool = False
    """However much that is."""
    once: bool = False
    """A load of these very files that is done is not done again."""
    restart: bool = False
    """Begin anew, though a load of these files could go on."""
    wait: timedelta = timedelta(seconds=60)
    """How long a broker may not acknowledge anything before the load ends, to go on another time."""
