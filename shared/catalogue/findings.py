"""What a message about a product says that could not be taken, as a message of its own."""

from collections.abc import Collection, Iterator, Mapping

from schemas.base import MAX_TEXT_BYTES, FieldValue
from schemas.findings import MOST, CatalogueFindings, Finding
from schemas.wire import DecodedChange
from shared.records import Record

CUT = f"only its first {MAX_TEXT_BYTES // 1024} KiB are kept: send a shorter text, or several attributes"
NO_NUMBER = "is a text, which no filter by number finds: send a number (`catalogue.numbers` expects one)"
QUOTED = 40


def findings_of(
    record: Record, reading: DecodedChange, numbers: Collection[str] = ()
) -> CatalogueFindings | None:
    """Return what was left out of a record or cut, and which of `numbers` have texts; None: nothing."""
    findings = [Finding(**left._asdict()) for left in reading.left_out]
    findings += [Finding(attribute=name, reason="field.cut", explanation=CUT) for name in reading.cut]
    findings += [
        Finding(attribute=name, reason="number.expected", explanation=f"{_quoted(text)} {NO_NUMBER}")
        for name, text in _texts(reading.change.fields, numbers)
    ]
    if not findings:
        return None
    return CatalogueFindings(
        product_id=reading.change.product_id,
        source=record.coordinates,
        findings=tuple(findings[:MOST]),
        total=len(findings),
        time=record.timestamp,
    )


def _texts(fields: Mapping[str, FieldValue], numbers: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the first text of each of these attributes that has one."""
    for name in numbers:
        value = fields.get(name)
        for one in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(one, str):
                yield name, one
                break


def _quoted(text: str) -> str:
    return repr(text if len(text) <= QUOTED else f"{text[:QUOTED]}…")
