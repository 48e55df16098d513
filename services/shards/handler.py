"""What the partition loop drives: open a shard on assignment, apply its batches, save it on the way out."""

import asyncio
import shutil
from datetime import datetime
from pathlib import Path
from typing import Protocol

import structlog

from schemas.alerts import Alert
from services.shards.contents import FingerprintError
from services.shards.domain.manifest import RecoveryCriteria
from services.shards.files import Files
from services.shards.records import ShardEntry, entry
from services.shards.serving import Serving
from services.shards.settings import Settings
from services.shards.shard import Identity, Shard
from services.shards.store import highest_epoch
from shared.disk import writing
from shared.errors import FatalError, FencedError, TransientError
from shared.ports import AlertSink, Clock
from shared.records import UNKNOWN_LOG, Applied, Batch, Log, Partition, Record

log = structlog.get_logger()


class LogEdges(Protocol):
    """Asks the broker where a log begins and ends."""

    async def edges(self, partition: Partition) -> tuple[int, int]:
        """Return (first, next) offset; raises `TransientError` when the broker is away."""
        ...


class ShardHandler:
    """The `PartitionHandler` of the shards worker; `epochs` is filled by whoever holds the leases."""

    def __init__(self, settings: Settings, *, alerts: AlertSink, edges: LogEdges, clock: Clock) -> None:
        self.serving: dict[int, Serving] = {}
        self.epochs: dict[int, int] = {}
        self.forgotten: set[int] = set()
        """Partitions whose state is dropped, not saved, when they are let go of the next time."""
        self.generation = settings.generation
        self._settings = settings
        self._alerts = alerts
        self._edges = edges
        self._clock = clock

    def root(self, partition: int) -> Path:
        """Return where a shard is kept."""
        return self._settings.data_dir / "shards" / self._settings.generation / str(partition)

    def seen_epoch(self, partition: int) -> int:
        """Return the highest epoch that the shard's state on this disk knows of."""
        return highest_epoch(self.root(partition))

    async def assigned(self, partition: Partition, source: Log = UNKNOWN_LOG) -> int | None:
        """Open the shard under our lease; a state that the log no longer continues is left behind."""
        epoch = self.epochs.get(partition.number)
        if epoch is None:
            raise TransientError(f"no lease for {partition}")
        begin, end = await self._edges.edges(partition)
        criteria = RecoveryCriteria(
            now=self._clock.now(),
            oldest=self._settings.shards.oldest_snapshot,
            edges=(begin, end),
            log=source,
        )
        with writing(self.root(partition.number)):
            shard = await asyncio.to_thread(self._open, partition.number, epoch, criteria)
        stored = shard.view.next_offset
        start = max(stored or 0, begin)
        self.serving[partition.number] = Serving(
            shard, partition=partition.number, epoch=epoch, start=start, target=end
        )
        log.info("shard.opened", shard=partition.number, epoch=epoch, next_offset=stored, end_offset=end)
        if shard.refusals:
            await self._say_refused(partition.number, shard.refusals)
        return stored

    def decode(self, record: Record) -> ShardEntry:
        """Decode and check one index record."""
        return entry(record)

    async def handle(self, partition: Partition, batch: Batch[ShardEntry]) -> Applied:
        """Apply the batch; on return it is searchable, and `next_offset` is in the same state."""
        serving = self.serving.get(partition.number)
        if serving is None:
            raise FatalError(f"{partition} is not open here")
        entries = [entry for _, entry in batch.messages]
        try:
            with writing(self.root(partition.number)):
                done = await asyncio.to_thread(serving.shard.apply, entries, batch.next_offset)
        except FingerprintError as error:
            await self._alerts.raise_alert(self._alert("fingerprint", partition.number, str(error)))
            raise
        records = [entry.record for entry in entries if entry.record and not entry.replayed]
        await serving.moved(records, self._clock.now())
        return done

    async def revoked(self, partition: Partition) -> None:
        """Save the shard for its next owner and let go of it."""
        serving = self.serving.pop(partition.number, None)
        self.epochs.pop(partition.number, None)
        if serving is None:
            return
        if partition.number in self.forgotten:
            await self._forget(serving)
            return
        try:
            with writing(self.root(partition.number)):
                await asyncio.to_thread(serving.shard.checkpoint, self._clock.now())
        except (FencedError, TransientError) as error:
            log.warning("shard.not_saved", shard=partition.number, reason=str(error))
        await asyncio.to_thread(serving.shard.close)
        log.info("shard.closed", shard=partition.number, epoch=serving.epoch)

    async def _forget(self, serving: Serving) -> None:
        """Drop all that is stored of a shard; the lease is still ours, so nobody opens it meanwhile."""
        number = serving.partition
        self.forgotten.discard(number)
        await asyncio.to_thread(serving.shard.close)
        await asyncio.to_thread(shutil.rmtree, self.root(number), ignore_errors=True)
        log.warning("shard.forgotten", shard=number, epoch=serving.epoch, next="it is read anew from its log")

    def _open(self, number: int, epoch: int, recovery: RecoveryCriteria) -> Shard:
        identity = Identity(generation=self._settings.generation, partition=number, epoch=epoch)
        return Shard.open(
            self.root(number), identity, settings=self._settings.shards, recovery=recovery, files=Files()
        )

    async def _say_refused(self, number: int, refusals: tuple[str, ...]) -> None:
        log.error("shard.snapshots_refused", shard=number, reasons=refusals)
        await self._alerts.raise_alert(self._alert("snapshot", number, "; ".join(refusals)))

    def _alert(self, detector: str, number: int, explanation: str) -> Alert:
        now: datetime = self._clock.now()
        advice = {
            "fingerprint": "one generation holds one model; dead letters have what another one embedded: give"
            " that model a generation of its own, then `headrace alerts resolve`",
            "snapshot": "the shard was rebuilt from what is sound: check the disk, then"
            " `headrace alerts resolve`",
        }
        return Alert(
            alert_key=f"{detector}:{self._settings.generation}-{number}",
            status="firing",
            severity="critical" if detector == "fingerprint" else "warning",
            summary=f"shard {number}: {explanation}"[:2000],
            cause="bug",
            resolution="manual",
            action=advice[detector],
            evidence={"partition": number},
            generation=self._settings.generation,
            started_at=now,
            updated_at=now,
        )
