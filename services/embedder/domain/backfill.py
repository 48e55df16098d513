"""What a new generation takes over from the records of the one that it is built from.

The records of a home are looked at twice: to find the last one of each product, and where the logs must be
read from afterwards; then to take those over. Compaction may remove one in between, but only for a later one
of the same product, which says all that it said. Later ones that are not taken over are of changes that will
be read, so nothing is missed, and merging them twice changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from zlib import crc32

from schemas.binary import head_of
from schemas.index import AnyRecord, IndexRecord, read_record
from services.embedder.domain.plan import Touched
from services.embedder.domain.recovery import Proven, Published, raise_to, said_by
from services.embedder.domain.state import Embedding, StoredProduct
from shared.catalogue.documents import EMPTY, absorb


@dataclass(slots=True)
class Survey:
    """The records of one home, by what they say of themselves; of its products, one part of several."""

    part: int = 0
    parts: int = 1
    offsets: dict[str, Proven] = field(default_factory=dict)
    """Where to read the logs from, as `StateRecovery` has it."""
    _last: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By product, the epoch and the offset of the index record that counts."""
    _attributes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The same of the attribute record, where there is one."""

    def note(self, published: Published) -> None:
        """Take note of one record, in log order."""
        head = head_of(published.value)
        raise_to(self.offsets, published.offsets)
        if crc32(head.product_id.encode()) % self.parts != self.part:
            return
        last = self._attributes if published.of_attributes else self._last
        if head.epoch >= last.get(head.product_id, (0, 0))[0]:
            last[head.product_id] = head.epoch, published.offset

    def pick(self, published: Published) -> AnyRecord | None:
        """Return the record when it is the last one of its product and kind, or one that came after.

        An attribute record that lies before its product's index record says nothing beside it.
        """
        head = head_of(published.value)
        if head.product_id not in self._last:
            return None
        epoch, offset = self._last[head.product_id]
        if published.of_attributes:
            of_attributes = self._attributes.get(head.product_id, (0, 0))
            epoch, offset = max(epoch, of_attributes[0]), max(offset, of_attributes[1])
        counts = published.offset >= offset and head.epoch >= epoch
        return read_record(published.value) if counts else None

    def forget(self) -> None:
        """Let go of all but the offsets."""
        self._last.clear()
        self._attributes.clear()


def joined(records: Iterable[AnyRecord]) -> dict[str, AnyRecord]:
    """Return what records in log order say of each product, as one: its last index record and all after."""
    latest: dict[str, AnyRecord] = {}
    for record in records:
        before = latest.get(record.product_id)
        if isinstance(record, IndexRecord) or before is None:
            latest[record.product_id] = record
            continue
        name = "document" if isinstance(before, IndexRecord) else "changes"
        changes = {
            name: absorb(said_by(before), record.changes),
            "source": record.source,
            "event_time": record.event_time,
        }
        latest[record.product_id] = before.model_copy(update=changes)
    return latest


def take_over(record: AnyRecord, known: StoredProduct | None) -> Touched | None:
    """Return what the record changes in the product as this generation has it; None: nothing.

    Of a product that is not known an attribute record says nothing: an index record follows that says it all.
    """
    if known is None and isinstance(record, IndexRecord):
        before = Embedding(record.content_hash, record.fingerprint, record.passages, record.vectors)
        return Touched(
            record.product_id,
            record.document,
            StoredProduct(embedding=before),
            record.source,
            record.event_time,
        )
    document = EMPTY if known is None else absorb(known.document, said_by(record))
    if known is None or document is known.document:
        return None
    return Touched(record.product_id, document, known, record.source, record.event_time)
