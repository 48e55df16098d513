"""Shards, records and a model of a shard for the tests of this folder."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from schemas.base import Coordinates
from schemas.index import AnyRecord, AttributeRecord, IndexRecord, Passage
from services.shards.documents import shown
from services.shards.domain.manifest import RecoveryCriteria
from services.shards.files import Files
from services.shards.records import ShardEntry, entry
from services.shards.settings import ShardsSettings
from services.shards.shard import Identity, Shard
from shared.records import Partition, Record
from tests.stamped import merged, written

WEEK = timedelta(days=7)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LOG = Partition("index.records.g1", 0)
FINGERPRINT = "0123456789abcdef"


def unit(*values: float) -> np.ndarray:
    vector = np.array(values, np.float32)
    return vector / np.linalg.norm(vector)


NORTH, EAST, SOUTH = unit(0, 1, 0, 0), unit(1, 0, 0, 0), unit(0, -1, 0, 0)


def message(product_id, *vectors, fields=None, source=0, epoch=1, deleted=False, **other) -> IndexRecord:
    stacked = np.array(vectors, np.float16) if vectors else np.empty((0, 4), np.float16)
    document = written(fields or {}, deleted=deleted)
    return IndexRecord(
        **{
            "product_id": product_id,
            "document": document,
            "fingerprint": FINGERPRINT,
            "dimensions": stacked.shape[1],
            "passages": tuple(Passage(start=0, end=1) for _ in stacked),
            "vectors": stacked.tobytes(),
            "source": Coordinates(topic="catalogue.changes.v1", partition=0, offset=source),
            "epoch": epoch,
            "event_time": NOW,
            **other,
        }
    )


def attributes(product_id, *changes, source=1, epoch=1, content_hash="") -> AttributeRecord:
    """Return one of these changes; the index records of `message` have no content hash."""
    return AttributeRecord(
        product_id=product_id,
        changes=merged(*changes),
        content_hash=content_hash,
        fingerprint=FINGERPRINT,
        source=Coordinates(topic="catalogue.changes.v1", partition=0, offset=source),
        epoch=epoch,
        event_time=NOW,
    )


def raw(offset: int, value: AnyRecord | None, key: str = "") -> Record:
    key = value.key().decode() if value is not None else key
    return Record(LOG, offset, key.encode(), value.encode() if value is not None else None, NOW)


def log(*values: AnyRecord | str, start: int = 0) -> list[ShardEntry]:
    """Entries at consecutive offsets; a plain string is a tombstone of that product."""
    return [
        entry(raw(offset, None, value) if isinstance(value, str) else raw(offset, value))
        for offset, value in enumerate(values, start)
    ]


def opened(
    root: Path, *, epoch: int = 1, files: Files | None = None, now: datetime = NOW, edges=None, **settings
) -> Shard:
    return Shard.open(
        root / "shard",
        Identity(generation="g1", partition=0, epoch=epoch),
        settings=ShardsSettings(**settings),
        recovery=RecoveryCriteria(now=now, oldest=WEEK, edges=edges),
        files=files or Files(),
    )


def stored(shard: Shard) -> dict[str, dict]:
    """Every living product as the shard's store has it."""
    found = map(shown, shard.view.places())
    return {each["product_id"]: each for each in found}
