"""What a message about a product says that could not be taken, as a message of its own."""

from schemas.findings import MOST, CatalogueFindings, Finding
from schemas.wire import DecodedChange
from shared.records import Record


def findings_of(record: Record, reading: DecodedChange) -> CatalogueFindings | None:
    """Return what was left out of a record; None: nothing."""
    if not reading.left_out:
        return None
    return CatalogueFindings(
        product_id=reading.change.product_id,
        source=record.coordinates,
        findings=tuple(Finding(**left._asdict()) for left in reading.left_out[:MOST]),
        total=len(reading.left_out),
        time=record.timestamp,
    )
