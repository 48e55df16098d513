"""What the handler of an embedder reaches out to."""

from dataclasses import dataclass

from services.embedder.backfill import Backfill
from services.embedder.records import RecordLog
from services.embedder.sources import AcceptedSources
from services.embedder.store import DocumentStore
from services.embedder.writer import RecordWriter
from shared.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything outside that the handler uses."""

    store: DocumentStore
    writer: RecordWriter
    records: RecordLog
    clock: Clock
    homes: int
    """How many there are."""
    parts: frozenset[str] = frozenset()
    """The tables whose rows are a part of a product."""
    sources: AcceptedSources | None = None
    """Those whose versions went back and that count all the same."""
    backfill: Backfill | None = None
    """Where a generation that is built from another begins."""
