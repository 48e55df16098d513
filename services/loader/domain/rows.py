"""A row of a file, what is wrong with one, and how a person may see what a file says."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from schemas.wire.errors import WireError

SHOWN = 60
NOT_FOR_SALE = "product.not_for_sale"
"""The reason of a row that is passed over on purpose: nothing is wrong with it."""


class FileRow(NamedTuple):
    """One record of a file: the line that it begins on, from 1, and its values by column."""

    line: int
    values: Mapping[str, Any]  # Any: whatever the format has


class LineFault(NamedTuple):
    """What is wrong with a line: a stable code, and what to do about it.

    `lost`: the line is not loaded; else it is, without this value, or as it says.
    """

    line: int
    reason: str
    fix: str
    column: str = ""
    value: str = ""
    lost: bool = True

    @classmethod
    def of(cls, line: int, error: WireError, *, column: str = "", value: object = None) -> "LineFault":
        """Return the fault of a line that the bus would refuse."""
        return cls(line, error.reason, error.explanation, visible(column), visible(value))


FileUnits: TypeAlias = Iterator[FileRow | LineFault]


def visible(value: object, limit: int = SHOWN) -> str:
    """Return a value on one line: short, and with every character escaped that a terminal would act on."""
    text = "" if value is None else value if isinstance(value, str) else repr(value)
    cut = text[:limit]
    if not cut.isprintable():
        cut = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in cut)
    return cut if len(text) <= limit and len(cut) <= limit else f"{cut[: limit - 1]}…"
