"""The catalogue change that a record states, whatever its form."""

from schemas.wire import WireError, read_change
from schemas.wire.change import Reading
from shared.errors import PoisonError
from shared.records import Record


def reading_of(record: Record) -> Reading:
    """Return the change, its form, and which texts were cut; raises `PoisonError`."""
    try:
        return read_change(
            key=record.key,
            value=record.value,
            headers=record.headers,
            timestamp=record.timestamp,
            offset=record.offset,
        )
    except WireError as error:
        raise PoisonError(error.reason, error.explanation) from error
