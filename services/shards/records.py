"""From a message on the bus to what a shard applies; what can never be indexed is poison."""

from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
from pydantic import ValidationError

from schemas.index import AttributeRecord, IndexRecord, read_record
from services.shards.rows import Halves
from shared.errors import PoisonError
from shared.generations.replay import REPLAYED
from shared.records import Record

NORM_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One record of the shard's log, checked; `record` None is a raw tombstone."""

    product_id: str
    offset: int
    record: IndexRecord | None
    vectors: Halves
    replayed: bool = False
    """It repeats what another generation has, and says nothing about how fresh this one is."""

    @property
    def deleted(self) -> bool:
        """Whether the product is gone after this."""
        return self.record is None or self.record.deleted

    @property
    def epoch(self) -> int | None:
        """Under which epoch of the product's home it was merged; None for a raw tombstone."""
        return None if self.record is None else self.record.epoch


@dataclass(frozen=True, slots=True)
class AttributeEntry:
    """An attribute record of the shard's log, checked: what it says beside the product's index record."""

    product_id: str
    offset: int
    record: AttributeRecord
    replayed: bool = False


ShardEntry = LogEntry | AttributeEntry


def entry(record: Record) -> ShardEntry:
    """Decode and check one record; raises `PoisonError` with what is wrong."""
    if record.value is None:
        return _tombstone(record)
    try:
        decoded = read_record(record.value)
    except ValidationError as error:
        raise PoisonError("record.invalid", str(error)) from error
    replayed = record.header(REPLAYED) is not None
    if isinstance(decoded, AttributeRecord):
        return AttributeEntry(decoded.product_id, record.offset, decoded, replayed)
    return LogEntry(decoded.product_id, record.offset, decoded, _vectors(decoded), replayed)


def _tombstone(record: Record) -> LogEntry:
    try:
        product_id = (record.key or b"").decode()
    except UnicodeDecodeError as error:
        raise PoisonError("key.invalid", "the key of a tombstone is not a product id") from error
    return LogEntry(product_id, record.offset, None, np.empty((0, 1), np.float16))


def _vectors(record: IndexRecord) -> Halves:
    """Return the passages' vectors: as many as passages, finite, of unit length."""
    rows, dimensions = len(record.passages), record.dimensions
    if len(record.vectors) != rows * dimensions * 2:
        raise PoisonError(
            "vectors.size", f"{len(record.vectors)} bytes for {rows} passages of {dimensions} dimensions"
        )
    vectors = np.frombuffer(record.vectors, "<f2").reshape(rows, dimensions)
    wide = vectors.astype(np.float32)
    for squared in np.einsum("ij,ij->i", wide, wide).tolist():  # a third of the time of `np.linalg.norm`
        if not isfinite(squared):
            raise PoisonError("vectors.not_finite", "a vector has a NaN or an infinity")
        if abs(sqrt(squared) - 1) > NORM_TOLERANCE:
            raise PoisonError("vectors.norm", f"a vector has length {sqrt(squared):.4f}, not 1")
    return vectors
