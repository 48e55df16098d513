"""The state of one input partition, recovered from the index records that it produced.

What the records prove: each carries (in a header) the offset below which everything was applied *and
published* when its batch began. The highest of them is where reading resumes: at most one batch is read
again, which changes nothing, and nothing is jumped over, even if the last batch was published in part.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import ValidationError

from schemas.index import IndexRecord
from services.embedder.domain.state import Embedding, Product
from shared.errors import FatalError

BATCH_START = "headrace.batch_start"


@dataclass(slots=True)
class Recovery:
    """Takes records in log order; `latest` is in `take`'s answers, the rest in its attributes."""

    topic: str
    partition: int
    epoch: int = 0
    """The highest epoch seen; a new one must be higher."""
    next_offset: int | None = None
    """Where to resume; None: no record of ours."""
    _applied: dict[str, tuple[int, int]] = field(default_factory=dict)

    def take(self, value: bytes, batch_start: int | None) -> tuple[str, Product] | None:
        """Return the product as this record has it; None when it is not ours, or older than one seen."""
        raw = orjson.loads(value)
        if not is_of(raw, self.topic, self.partition):
            return None
        try:
            record = IndexRecord.decode(value)
        except ValidationError as error:
            raise FatalError(f"an index record cannot be read: {error}") from error
        self.epoch = max(self.epoch, record.epoch)
        # A record without the header proves nothing: read from the start, which is slow and harmless.
        self.next_offset = max(self.next_offset or 0, batch_start or 0)
        order = record.epoch, record.source.offset
        if order < self._applied.get(record.product_id, (-1, -1)):
            return None
        self._applied[record.product_id] = order
        embedding = Embedding(record.content_hash, record.fingerprint, record.passages, record.vectors)
        return record.product_id, Product(record.document, embedding)


def is_of(raw: Mapping[str, Any], topic: str, partition: int) -> bool:  # Any: JSON
    """Whether an index record comes from that input partition."""
    source = raw.get("source", {})
    return bool(source.get("topic") == topic and source.get("partition") == partition)
