"""The catalogue change that a record states, whatever its form."""

from collections.abc import Collection

import msgspec
from msgspec.structs import replace

from schemas.wire import SkippedMessage, WireError, fast_path, read_change
from schemas.wire.change import DecodedChange
from shared.catalogue.acceptances import NONE, Acceptances, timeline_of
from shared.errors import PoisonError, SkippedError
from shared.records import Record


class ChangeReader(msgspec.Struct, frozen=True, gc=False):
    """What whoever merges changes must know, so that all of them read each one as the same."""

    parts: frozenset[str] = frozenset()
    """`CatalogueSettings.parts`."""
    acceptances: Acceptances = NONE

    def read(self, record: Record) -> DecodedChange:
        """Return what `reading_of` does, on its timeline; of a forwarded record the original is asked for."""
        reading = reading_of(record, self.parts)
        stamp = reading.change.stamp
        timeline = timeline_of(stamp.line, stamp.appended, self.acceptances)
        if not timeline:
            return reading
        return replace(reading, change=replace(reading.change, stamp=stamp._replace(timeline=timeline)))


def reading_of(record: Record, parts: Collection[str] = ()) -> DecodedChange:
    """Return the change, its form, and what was cut or left out; raises `PoisonError`, `SkippedError`.

    `parts` are `CatalogueSettings.parts`.
    """
    if record.damage is not None:
        raise PoisonError(record.damage.reason, record.damage.explanation)
    try:
        return read_change(
            key=record.key,
            value=record.value,
            headers=[(name, value or b"") for name, value in record.headers],
            timestamp=record.timestamp,
            offset=record.offset,
            partition=record.partition.number,
            parts=parts,
        )
    except SkippedMessage as message:
        raise SkippedError(message.kind, message.source) from message
    except WireError as error:
        raise PoisonError(error.reason, error.explanation) from error


def usual_product(record: Record, numbers: Collection[str] = ()) -> str | None:
    """Return the product of a change that surely has nothing wrong, cut or left out; None: it may have.

    `numbers` are attributes that should have numbers.
    """
    if record.headers or record.damage is not None:
        return None
    return fast_path.product_id(record.value, numbers)
