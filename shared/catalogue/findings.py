"""What a message about a product says that could not be taken, as a message of its own."""

from schemas.base import MAX_TEXT_BYTES
from schemas.findings import MOST, CatalogueFindings, Finding
from schemas.wire import DecodedChange
from shared.records import Record

CUT = f"only its first {MAX_TEXT_BYTES // 1024} KiB are kept: send a shorter text, or several attributes"


def findings_of(record: Record, reading: DecodedChange) -> CatalogueFindings | None:
    """Return what was left out of a record or cut; None: nothing."""
    findings = [Finding(**left._asdict()) for left in reading.left_out]
    findings += [Finding(attribute=name, reason="field.cut", explanation=CUT) for name in reading.cut]
    if not findings:
        return None
    return CatalogueFindings(
        product_id=reading.change.product_id,
        source=record.coordinates,
        findings=tuple(findings[:MOST]),
        total=len(findings),
        time=record.timestamp,
    )
