"""What a new generation takes over from the records of the one that it is built from.

The records of an input partition are looked at twice: to find the last one of each product, and where
changes must be read from afterwards; then to take those over. Compaction may remove one in between, but only
for a later one of the same product, which says all that it said. Later ones that are not taken over are of
changes that will be read, so nothing is missed, and merging them twice changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from schemas.index import IndexRecord
from services.embedder.domain.plan import Touched
from services.embedder.domain.recovery import is_of
from services.embedder.domain.state import Embedding, Product
from shared.documents import absorb

Order = tuple[int, int]


@dataclass(slots=True)
class Survey:
    """The records of one input partition, by what they say of themselves."""

    topic: str
    partition: int
    next_offset: int | None = None
    """Where to read changes from, as `Recovery` has it; None: there is no record of this partition."""
    _last: dict[str, tuple[Order, int]] = field(default_factory=dict)

    def note(self, value: bytes, batch_start: int | None, offset: int) -> None:
        """Take note of one record, in log order."""
        raw = orjson.loads(value)
        if not is_of(raw, self.topic, self.partition):
            return
        self.next_offset = max(self.next_offset or 0, batch_start or 0)
        order = _order(raw)
        known = self._last.get(raw["product_id"])
        if known is None or known[0] <= order:
            self._last[raw["product_id"]] = order, offset

    def pick(self, value: bytes, offset: int) -> IndexRecord | None:
        """Return the record when it is the last one of its product, or one that came after."""
        raw = orjson.loads(value)
        if not is_of(raw, self.topic, self.partition) or raw["product_id"] not in self._last:
            return None
        order, last = self._last[raw["product_id"]]
        return IndexRecord.decode(value) if offset >= last and _order(raw) >= order else None


def take_over(record: IndexRecord, known: Product | None) -> Touched | None:
    """Return what the record changes in the product as this generation has it; None: nothing."""
    if known is None:
        before = Embedding(record.content_hash, record.fingerprint, record.passages, record.vectors)
        return Touched(record.product_id, record.document, before, record.source, record.event_time)
    document = absorb(known.document, record.document)
    if document is known.document:
        return None
    return Touched(record.product_id, document, known.embedding, record.source, record.event_time)


def _order(raw: Mapping[str, Any]) -> Order:  # Any: JSON
    return raw["epoch"], raw["source"]["offset"]
