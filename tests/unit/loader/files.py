"""Files as shops write them, and their rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from services.loader.domain.products import ProductReader
from services.loader.domain.rows import FileRow, LineFault
from services.loader.request import ReadOptions
from services.loader.survey import FileSurvey, surveyed

MOMENT = "2026-11-30T02:00:00.000Z"


@contextmanager
def survey_of(
    tmp_path: Path, content: bytes | str, name: str = "file", **options: Any
) -> Iterator[FileSurvey]:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with surveyed(str(path), ReadOptions(**options)) as survey:
        yield survey


def units_of(tmp_path: Path, content: bytes | str, **options: Any) -> list[FileRow | LineFault]:
    """Return all that a file has."""
    with survey_of(tmp_path, content, **options) as survey:
        return list(survey.rows)


def products_of(
    tmp_path: Path, content: bytes | str, *, texts: Sequence[str] = (), **options: Any
) -> tuple[dict[str, dict[str, Any]], list[LineFault]]:
    """Return the fields of each product that a file gives, and what is wrong with its lines."""
    with survey_of(tmp_path, content, **options) as survey:
        reader = ProductReader(survey.reading(ReadOptions(**options)), MOMENT, texts)
        products, faults = {}, []
        for unit in survey.rows:
            if isinstance(unit, LineFault):
                faults.append(unit)
                continue
            product = reader.read(unit)
            faults += product.faults
            if product.value is not None:
                products[product.product_id] = orjson.loads(product.value)["fields"]
    return products, faults
