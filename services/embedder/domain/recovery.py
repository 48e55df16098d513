"""The state of one home, recovered from the index records of its products.

All records of a home's products lie in one partition of the index. Each carries (in a header) what was
applied *and published* when its batch began: an offset for each of the logs that feed the home. The highest
of them is where reading resumes: at most one batch is read again, which changes nothing, and nothing is
jumped over, even if the last batch was published in part.

An attribute record says what its product's index record does not (`schemas.index.AttributeRecord`): the state
is the join of both, whichever lies first.

A record may know less than those before it: a former owner wrote it after its successor, or it is of an
earlier version, which kept a product in several states. What any of them knows is joined, and a product that
its last record does not say whole is published again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import orjson
from pydantic import ValidationError

from schemas.base import Coordinates
from schemas.binary import ATTRIBUTES
from schemas.catalogue import Document
from schemas.index import AnyRecord, AttributeRecord, IndexRecord, read_record
from services.embedder.domain.state import Embedding, StoredProduct, every_place
from shared.catalogue.documents import absorb, carried
from shared.errors import FatalError

APPLIED = "headrace.applied"
"""By log, the offset below which everything was applied and published, and the topic's identity; as JSON."""


class Proven(NamedTuple):
    """An offset below which everything was applied and published, and the identity of the topic it is of."""

    offset: int
    identity: str = ""
    """Of two topics of one name the offsets are others; empty: not known."""


class Published(NamedTuple):
    """An index record as it lies in its partition, and what its headers say of its batch."""

    value: bytes
    applied: bytes | None = None
    offset: int = 0

    @property
    def of_attributes(self) -> bool:
        """Whether it is an attribute record."""
        return self.value.startswith(ATTRIBUTES)

    @property
    def offsets(self) -> dict[str, Proven]:
        """What the record proves of the logs that feed its home.

        One of an earlier version proves nothing, for what that merged cannot be told from its changes: they
        are read again, from their beginning, which costs no inference.
        """
        if self.applied is None:
            return {}
        return {topic: Proven(*proven) for topic, proven in orjson.loads(self.applied).items()}


class Last(NamedTuple):
    """What is remembered of a product's records while they are read."""

    epoch: int
    whole: bool
    """Whether the record that counts for the shards says all that any of them does."""
    origin: tuple[Coordinates, datetime]
    """The last change that was merged in, and when that was made."""


@dataclass(slots=True)
class StateRecovery:
    """Takes the records of a home's partition in log order; what they prove is in its attributes."""

    epoch: int = 0
    """The highest epoch seen; a new one must be higher."""
    offsets: dict[str, Proven] = field(default_factory=dict)
    """Where to resume each log; one that is not there was never read."""
    records: int = 0
    _last: dict[str, Last] = field(default_factory=dict)

    def take(self, published: Published) -> AnyRecord:
        """Take note of a record; returns it."""
        try:
            record = read_record(published.value)
        except ValidationError as error:
            raise FatalError(f"an index record cannot be read: {error}") from error
        self.records += 1
        self.epoch = max(self.epoch, record.epoch)
        raise_to(self.offsets, published.offsets)
        return record

    def join(self, record: AnyRecord, known: StoredProduct | None) -> StoredProduct:
        """Return the product as all its records so far have it."""
        if isinstance(record, AttributeRecord):
            return self._join_attributes(record, known)
        last = self._last.get(record.product_id)
        if last is not None and known is not None and record.epoch < last.epoch:  # the shards' own rule
            return self._learn(record, known, last)
        document = record.document if known is None else absorb(record.document, known.document)
        whole = document is record.document
        embedding = Embedding(record.content_hash, record.fingerprint, record.passages, record.vectors)
        self._last[record.product_id] = Last(record.epoch, whole, (record.source, record.event_time))
        of_record = carried(record.document, every_place(record.document), document)
        return StoredProduct(document, embedding, of_record)

    def _join_attributes(self, record: AttributeRecord, known: StoredProduct | None) -> StoredProduct:
        """Return the product with what an attribute record says, be there an index record yet or not."""
        origin = (record.source, record.event_time)
        last = self._last.get(record.product_id)
        if known is None:
            self._last[record.product_id] = Last(record.epoch, whole=False, origin=origin)
            return StoredProduct(record.changes)
        epoch = 0 if last is None else last.epoch
        if not record.belongs_to(known.embedding.content_hash, epoch):  # the shards' own rule
            return self._learn(record, known, last or Last(record.epoch, whole=True, origin=origin))
        self._last[record.product_id] = Last(record.epoch, last is None or last.whole, origin)
        return _with(known, record.changes)

    def _learn(self, record: AnyRecord, known: StoredProduct, last: Last) -> StoredProduct:
        """Return the product with what a record knows that does not count for the shards."""
        product = _with(known, said_by(record))
        whole = last.whole and product.document is known.document
        self._last[record.product_id] = last._replace(whole=whole)
        return product

    @property
    def incomplete(self) -> dict[str, Last]:
        """The products of which the record that counts does not say all that is known."""
        return {product_id: last for product_id, last in self._last.items() if not last.whole}

    def unsettled(self, epoch: int) -> dict[str, Last]:
        """Return the products of which no record of this epoch says all that is known.

        One of an older epoch may be of a former owner, whom the shards no longer heard.
        """
        return {
            product_id: last
            for product_id, last in self._last.items()
            if not last.whole or last.epoch < epoch
        }


def said_by(record: AnyRecord) -> Document:
    """Return what a record says of its product."""
    return record.document if isinstance(record, IndexRecord) else record.changes


def _with(known: StoredProduct, document: Document) -> StoredProduct:
    merged = absorb(known.document, document)
    whole = None if known.whole is None else carried(known.document, known.whole, merged)
    return StoredProduct(merged, known.embedding, whole)


def raise_to(offsets: dict[str, Proven], proven: Mapping[str, Proven]) -> None:
    """Raise each log's offset to what was proven later, if that is more, or is of a topic made anew."""
    for topic, later in proven.items():
        known = offsets.get(topic)
        if known is None or known.identity != later.identity or known.offset < later.offset:
            offsets[topic] = later
