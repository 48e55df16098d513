"""Parquet: row groups as they come, a thousand rows at a time."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, time
from decimal import Decimal
from math import isnan
from typing import IO, Any

from services.loader.domain.rows import FileRow, FileUnits, LineFault, visible
from services.loader.formats.content import BUFFER, DamagedFileError, FileContent
from shared.errors import ConfigurationError
from shared.extras import missing

MAGIC = b"PAR1"
AT_ONCE = 1000


def parquet_rows(content: FileContent) -> FileUnits:
    """Yield the rows, numbered from 1; raises `DamagedFileError`."""
    try:
        from pyarrow import ArrowException  # noqa: PLC0415 - of all formats this one alone needs it
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise ConfigurationError(missing("Parquet", "pyarrow")) from error
    with _seekable(content) as raw:
        try:
            file = ParquetFile(raw, buffer_size=BUFFER, pre_buffer=False)
            total, number = file.metadata.num_rows, 0
            for batch in file.iter_batches(batch_size=AT_ONCE, use_threads=False):
                for row in batch.to_pylist(maps_as_pydicts="lossy"):
                    number += 1
                    yield from _units(number, row)
                content.share = number / total
        except (ArrowException, OSError) as error:
            raise DamagedFileError(f"{content.name} cannot be read on: {visible(str(error), 200)}") from error


@contextmanager
def _seekable(content: FileContent) -> Iterator[IO[bytes]]:
    """Give the content as a file; its end is read first, so a pipe or packed file is unpacked to the disk."""
    if content.path is not None and not content.packed:
        with content.path.open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        with content.reading():
            shutil.copyfileobj(content.stream, file, BUFFER)
        file.seek(0)
        yield file


def _units(number: int, row: Mapping[str, Any]) -> FileUnits:
    values = {}
    for column, value in row.items():
        try:
            values[column] = _plain(value)
        except UnicodeDecodeError:
            fix = "bytes that are no text: search has no use for them"
            yield LineFault(number, "field.unsupported", fix, visible(column), lost=False)
    yield FileRow(number, values)


def _plain(value: Any) -> Any:  # Any: what Parquet's types are in Python
    """Return a value as JSON has it; NaN is what pandas writes for nothing."""
    if isinstance(value, float) and isnan(value):
        return None
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        value = value.decode()
    elif isinstance(value, date | time):  # a datetime is a date
        value = value.isoformat()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
