"""Attribute records joined with what the shard has of their products, so that each entry is a whole one.

What comes of it replaces the product as any index record does: the vectors are those that are kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
import orjson
from msgspec.structs import replace

from schemas.base import Coordinates
from schemas.binary import unpack_document
from schemas.index import AttributeRecord, IndexRecord, Passage
from services.shards.domain.apply import RecordOrigin, supersedes
from services.shards.records import AttributeEntry, LogEntry, ShardEntry
from services.shards.view import View
from shared.catalogue.documents import absorb, fields_of


class JoinedBatch(NamedTuple):
    """The entries of a batch that change a product, in log order, and how many beside them say nothing."""

    entries: Sequence[LogEntry]
    without_effect: int


def join(entries: Sequence[ShardEntry], view: View, origins: Mapping[str, RecordOrigin]) -> JoinedBatch:
    """Return the batch with each attribute record made whole.

    One whose index record is not here (it was deleted, or is of another text, or of a later epoch) says
    nothing: an index record that lies behind it says all of it.
    """
    wanted = {entry.product_id for entry in entries if isinstance(entry, AttributeEntry)}
    if not wanted:
        return JoinedBatch([entry for entry in entries if isinstance(entry, LogEntry)], 0)
    known = dict(stored_entries(view, wanted))
    whole: list[LogEntry] = []
    for entry in entries:
        before = known.get(entry.product_id)
        if isinstance(entry, LogEntry):
            origin = origins.get(entry.product_id) if before is None else before.origin()
            if entry.product_id in wanted and supersedes(entry.origin(), origin):
                known[entry.product_id] = entry
            whole.append(entry)
        elif (after := _with(before, entry)) is not None:
            known[entry.product_id] = after
            whole.append(after)
    return JoinedBatch(whole, len(entries) - len(whole))


def stored_entries(view: View, product_ids: Iterable[str]) -> Iterable[tuple[str, LogEntry]]:
    """Yield the products that live here as the entries that they came from; their text is not kept."""
    merged = list(view.reader.merged(sorted(product_ids)))
    rows = view.locate(np.array(sorted(offset for offset, _, _ in merged), np.int64))
    for offset, shown, revisions in merged:
        said = orjson.loads(shown)
        part, of_record = rows[offset]
        searched = of_record[part.searchable[of_record]]
        vectors = part.unit.vectors_of(searched).astype(np.float16)  # they were that before
        document = replace(unpack_document(revisions), fields=fields_of(said["fields"]))
        record = IndexRecord.unchecked(
            {
                "product_id": said["product_id"],
                "document": document,
                "text": "",
                "language": "",
                "content_hash": said["content_hash"],
                "fingerprint": view.fingerprint,
                "dimensions": view.dimensions,
                "passages": tuple(Passage.unchecked({"start": s, "end": e}) for s, e in said["passages"]),
                "vectors": vectors.tobytes(),
                "source": Coordinates.unchecked(said["source"]),
                "epoch": said["epoch"],
                "event_time": datetime.fromisoformat(said["event_time"]),
            }
        )
        yield record.product_id, LogEntry(record.product_id, offset, record, vectors)


def _with(before: LogEntry | None, entry: AttributeEntry) -> LogEntry | None:
    record = None if before is None else before.record
    if before is None or record is None or record.deleted:
        return None
    attributes = entry.record
    if not attributes.belongs_to(record.content_hash, record.epoch):
        return None
    return LogEntry(
        entry.product_id, entry.offset, _merged(record, attributes), before.vectors, entry.replayed
    )


def _merged(record: IndexRecord, attributes: AttributeRecord) -> IndexRecord:
    return record.model_copy(
        update={
            "document": absorb(record.document, attributes.changes),
            "source": attributes.source,
            "epoch": attributes.epoch,
            "event_time": attributes.event_time,
        }
    )
