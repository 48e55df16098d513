"""What a new generation takes over from the records of the one that it is built from.

The records of a home are looked at twice: to find the last one of each product, and where the logs must be
read from afterwards; then to take those over. Compaction may remove one in between, but only for a later one
of the same product, which says all that it said. Later ones that are not taken over are of changes that will
be read, so nothing is missed, and merging them twice changes nothing.
"""

from dataclasses import dataclass, field

from schemas.binary import head_of
from schemas.index import IndexRecord
from services.embedder.domain.plan import Touched
from services.embedder.domain.recovery import Proven, Published, raise_to
from services.embedder.domain.state import Embedding, StoredProduct
from shared.catalogue.documents import absorb


@dataclass(slots=True)
class Survey:
    """The records of one home, by what they say of themselves."""

    offsets: dict[str, Proven] = field(default_factory=dict)
    """Where to read the logs from, as `StateRecovery` has it."""
    _last: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By product, the epoch and the offset of the record that counts."""

    def note(self, published: Published) -> None:
        """Take note of one record, in log order."""
        head = head_of(published.value)
        raise_to(self.offsets, published.offsets)
        if head.epoch >= self._last.get(head.product_id, (0, 0))[0]:
            self._last[head.product_id] = head.epoch, published.offset

    def pick(self, published: Published) -> IndexRecord | None:
        """Return the record when it is the last one of its product, or one that came after."""
        head = head_of(published.value)
        if head.product_id not in self._last:
            return None
        epoch, offset = self._last[head.product_id]
        counts = published.offset >= offset and head.epoch >= epoch
        return IndexRecord.decode(published.value) if counts else None


def take_over(record: IndexRecord, known: StoredProduct | None) -> Touched | None:
    """Return what the record changes in the product as this generation has it; None: nothing."""
    if known is None:
        before = Embedding(record.content_hash, record.fingerprint, record.passages, record.vectors)
        return Touched(record.product_id, record.document, before, record.source, record.event_time)
    document = absorb(known.document, record.document)
    if document is known.document:
        return None
    return Touched(record.product_id, document, known.embedding, record.source, record.event_time)
