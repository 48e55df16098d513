"""The products of a table that was emptied, and the deletes that its connector did not write.

Debezium says of a truncate which table it was and where in the database's log, and names no row. A delete of
each row at that very place is what it means: rows that were inserted later are higher, and stay.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import orjson
from msgspec.structs import replace

from schemas.catalogue import Appended, Stamp
from schemas.wire.change import DecodedChange
from schemas.wire.stamps import ENVELOPED
from shared.catalogue.changes import ChangeReader
from shared.errors import ConfigurationError
from shared.records import Outgoing, Record

Source = Mapping[str, object]
_TABLE = ("connector", "name", "db", "schema", "table", "collection")


class LastWrite(NamedTuple):
    """What was written last of a row of the table."""

    appended: Appended
    deleted: bool


@dataclass(slots=True)
class Truncation:
    """A truncate, and what the changes read so far say of the products of its table."""

    record: Record
    source: Source
    reader: ChangeReader
    _rows: dict[str, LastWrite] = field(default_factory=dict)
    _written_later: set[str] = field(default_factory=set)
    _at: Stamp = field(init=False)
    """Where it is among the changes of its table."""

    def __post_init__(self) -> None:
        """Read it as everybody will read its deletes."""
        self._at = self._read(self.record, "p").change.stamp

    def check(self, now: datetime) -> None:
        """Raise `ConfigurationError` when deletes that are appended `now` would not be where it was."""
        then, today = self._at, self._read(replace(self.record, timestamp=now), "p").change.stamp
        if not then.line.startswith(ENVELOPED):
            raise ConfigurationError(
                "the truncate does not say where in its database it was made: delete its products by messages"
            )
        if then.timeline != today.timeline:
            raise ConfigurationError(
                f"{then.line} was accepted anew after the truncate: what it has written since then says what "
                "is in the table"
            )

    def take(self, reading: DecodedChange) -> None:
        """Take a change, in whatever order, if it came from the table."""
        if reading.source is None or table_of(reading.source) != table_of(self.source):
            return
        change = reading.change
        row = LastWrite(change.stamp.appended, change.op == "delete")
        self._rows[change.product_id] = max(row, self._rows.get(change.product_id, row))
        if self._is_later(change.stamp):
            self._written_later.add(change.product_id)

    def deletes(self) -> list[Outgoing]:
        """Return what deletes the products that nothing was written of since, in the order of their ids."""
        gone = {product_id for product_id, row in self._rows.items() if not row.deleted}
        return [self._delete(product_id) for product_id in sorted(gone - self._written_later)]

    def _is_later(self, stamp: Stamp) -> bool:
        at = self._at
        if stamp.line == at.line:
            return (stamp.timeline, stamp.version) > (at.timeline, at.version)
        return stamp.appended > at.appended  # another server of a cluster has taken over

    def _delete(self, product_id: str) -> Outgoing:
        """Return the delete; its key is the id, unless that would be read as something else."""
        message = _message(self.record, self.source, product_id)
        if self._read(self.record, product_id).change.product_id != product_id:
            return Outgoing(message.topic, None, message.value)
        return message

    def _read(self, at: Record, product_id: str) -> DecodedChange:
        """Return the delete as everybody reads it that lies where a record does."""
        message = _message(at, self.source, product_id)
        return self.reader.read(
            Record(at.partition, at.offset, message.key, message.value, at.timestamp, appended=True)
        )


def table_of(source: Source) -> tuple[object, ...]:
    """Return what distinguishes a table from all others: its server, its database, its name."""
    return tuple(source.get(name) or None for name in _TABLE)


def _message(at: Record, source: Source, product_id: str) -> Outgoing:
    value = {"op": "d", "before": {"product_id": product_id}, "after": None, "source": source}
    return Outgoing(at.partition.topic, product_id.encode(), orjson.dumps(value))
