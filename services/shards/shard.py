"""A shard: what one partition of index records amounts to, searchable at every moment.

One thread applies, one (maintenance) checkpoints and merges, any number search. Searches take the current
`View` and never wait: every change makes a new view and puts it in place of the old one.
"""

import errno
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from services.shards.checkpoint import Frozen, lexical_directory, load, save
from services.shards.contents import Contents, merged_rows
from services.shards.domain import compaction
from services.shards.domain.apply import decide
from services.shards.domain.manifest import RecoveryCriteria, ShardManifest
from services.shards.files import Files
from services.shards.head import NAME as HEAD
from services.shards.joining import join
from services.shards.lexical import ENGINE, LexicalIndex, restore
from services.shards.records import LogEntry, ShardEntry
from services.shards.rows import Rows
from services.shards.segment import Segment, write_segment
from services.shards.settings import ShardsSettings
from services.shards.store import SEGMENTS, SNAPSHOTS, OutdatedError, RefusedError, ShardStore
from services.shards.view import View
from services.shards.workspace import Workspace
from shared.disk import pause_of
from shared.errors import FatalError
from shared.metrics import stage
from shared.records import Applied

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which shard, and under which lease it is held."""

    generation: str
    partition: int
    epoch: int


class Shard:
    """Apply records, search views, checkpoint, merge. Made by `Shard.open`."""

    def __init__(
        self, store: ShardStore, contents: Contents, manifest: ShardManifest, *, settings: ShardsSettings
    ) -> None:
        self.refusals: tuple[str, ...] = ()
        self._store = store
        self._contents = contents
        self._saved = manifest
        self._work = _workspace(store, manifest, settings)
        self._lexical = _lexical(self._work.path, settings)
        self._policy = compaction.CompactionPolicy(seal_rows=settings.seal_rows)
        self._writing = threading.Lock()
        self._maintaining = threading.Lock()
        self._merged = False
        self._closed = False
        self._view = self._look()

    @classmethod
    def open(
        cls,
        root: Path,
        identity: Identity,
        *,
        settings: ShardsSettings,
        recovery: RecoveryCriteria,
        files: Files,
    ) -> "Shard":
        """Take the shard over: the newest state that verifies, claimed for our epoch, else an empty one.

        Raises `FencedError` when a newer epoch has claimed it, and `LogReplacedError` when its log is another
        one. `refusals` says which states were not used, but for those of another release.
        """
        store = ShardStore(root, epoch=identity.epoch, files=files)
        store.refuse_if_fenced()
        refused: dict[str, RefusedError] = {}
        manifest, contents = _empty(identity, recovery.now), Contents()
        for name in store.manifests():
            try:
                manifest, contents = load(store, name, recovery)
                break
            except RefusedError as error:
                refused[name] = error
                log.warning("snapshot.refused", root=str(root), manifest=name, reason=str(error))
        claimed = manifest.model_copy(
            update={"epoch": identity.epoch, "log": recovery.log.identity or manifest.log}
        )
        store.publish(claimed)
        for name in refused:
            store.discard(name)
        shard = cls(store, contents, claimed, settings=settings)
        shard.refusals = tuple(
            f"{name}: {error}" for name, error in refused.items() if not isinstance(error, OutdatedError)
        )
        return shard

    @property
    def view(self) -> View:
        """The shard as of the last applied batch."""
        return self._view

    @property
    def unsaved(self) -> bool:
        """Whether a checkpoint would store something new."""
        return self._merged or self._saved.next_offset != self._view.next_offset

    def apply(self, entries: Sequence[ShardEntry], next_offset: int) -> Applied:
        """Apply a batch in log order; on return every search sees all of it and `next_offset` with it.

        Raises `FingerprintError` for another model's record and `PoisonError` for one of other dimensions,
        before anything is changed. Entries below the shard's offset were applied before: no-ops.
        """
        with self._writing:
            done = self._contents.next_offset or 0
            unseen = [entry for entry in entries if entry.offset >= done]
            self._contents.check(unseen)
            with stage("join"):
                fresh, without_effect = join(unseen, self._view, self._contents.origins)
            decision = decide([entry.change() for entry in fresh], self._contents.origins)
            effective = [fresh[position] for position in decision.effective]
            if effective:
                self._change(effective)
            self._contents.next_offset = max(done, next_offset)
            self._view = self._look()
            no_op = decision.no_op + without_effect + len(entries) - len(unseen)
            return Applied(decision.applied, no_op)

    def checkpoint(self, now: datetime) -> bool:
        """Store the present state durably; False when there is nothing new. Searches and writes go on.

        Raises `FencedError` when a newer epoch has claimed the shard: nothing was published then.
        """
        with self._maintaining:
            if self._closed or not self.unsaved:
                return False
            self._store.files.remove(self._work.pins)
            if self._work.pins.exists():
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self._work.pins))
            with self._writing:
                frozen = self._freeze()
            try:
                self._saved = save(self._store, frozen, previous=self._saved, now=now)
            except OSError:  # half a snapshot would keep the disk full
                self._store.files.remove(self._store.path(SNAPSHOTS, frozen.snapshot))
                raise
            self._merged = False
            self._store.files.remove(self._work.pins)
            with self._writing:
                in_use, made = set(self._contents.segments), self._store.sequence
            self._store.sweep(in_use, made=made)
            log.info("shard.saved", root=str(self._store.root), next_offset=frozen.next_offset)
            return True

    def merge(self) -> bool:
        """Merge what the policy picks; False when there is nothing to do. Searches and writes go on."""
        with self._maintaining:
            before = {part.unit.name: part for part in self._view.parts if part.unit.name != HEAD}
            sizes = [
                compaction.SegmentSize(name, len(part.live), int(part.live.sum()))
                for name, part in before.items()
            ]
            chosen = compaction.merge_candidates(self._policy, sizes)
            if self._closed or not chosen:
                return False
            rows = merged_rows([before[name] for name in chosen])
            merged = self._write(rows) if len(rows.ids) else None
            with self._writing:
                self._contents.swap({name: before[name] for name in chosen}, merged)
                self._view = self._look()
                self._merged = True
            log.info("segments.merged", root=str(self._store.root), merged=list(chosen), rows=len(rows.ids))
            return True

    def close(self) -> None:
        """Let go of the files; what was not saved is read from the log again."""
        with self._maintaining, self._writing:
            self._closed = True
            self._lexical.close()
            self._work.close()

    def _change(self, entries: Sequence[LogEntry]) -> None:
        """Replace these products: text index first (it can fail), then memory (it cannot)."""
        gone = [entry.product_id for entry in entries if entry.product_id in self._contents.offsets]
        alive = [entry.text() for entry in entries if not entry.deleted]
        if gone or alive:
            with stage("words"):
                self._lexical.replace(gone, alive)
        with stage("rows"):
            self._contents.replace(entries)
        if compaction.must_seal(self._policy, rows=self._contents.head_rows):
            self._contents.seal(self._write)

    def _freeze(self) -> Frozen:
        """Seal the head and hold everything that makes up this moment (under the writer's lock)."""
        contents = self._contents
        contents.seal(self._write)
        self._view = self._look()
        return Frozen(
            snapshot=self._store.new_name("c"),
            next_offset=contents.next_offset,
            fingerprint=contents.fingerprint,
            dimensions=contents.dimensions,
            topics=tuple(contents.topics),
            parts=tuple(contents.parts),
            deleted=contents.deleted(),
            pinned=self._lexical.pin(self._work.pins),
        )

    def _write(self, rows: Rows) -> Segment:
        name = self._store.new_name("s")
        directory = self._store.path(SEGMENTS, name)
        try:
            segment = write_segment(directory, rows, self._store.files)
        except OSError:  # as above
            self._store.files.remove(directory)
            raise
        log.info("segment.written", root=str(self._store.root), segment=name, rows=len(rows.ids))
        return segment

    def _look(self) -> View:
        contents = self._contents
        return View(
            tuple(contents.parts),
            self._lexical.reader(),
            contents.next_offset,
            contents.fingerprint,
            contents.dimensions,
        )


def _empty(identity: Identity, now: datetime) -> ShardManifest:
    return ShardManifest(
        engine=ENGINE,
        generation=identity.generation,
        partition=identity.partition,
        epoch=identity.epoch,
        written_at=now,
    )


def _workspace(store: ShardStore, manifest: ShardManifest, settings: ShardsSettings) -> Workspace:
    """Return a working directory with the text index of the manifest's snapshot, when it has one."""
    configured = settings.lexical.work_dir
    work = Workspace(store.root, epoch=manifest.epoch, configured=configured, files=store.files)
    snapshot = lexical_directory(store, manifest)
    if snapshot is not None:
        restore(snapshot, work.path, store.files)
    return work


def _lexical(directory: Path, settings: ShardsSettings) -> LexicalIndex:
    try:
        return LexicalIndex(directory, settings.lexical)
    except (ValueError, OSError) as error:
        if (pause := pause_of(error, directory)) is not None:
            raise pause from error
        raise FatalError(f"the text index was verified, yet does not open: {error}") from error
