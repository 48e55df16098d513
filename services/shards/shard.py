"""A shard: what one partition of index records amounts to, searchable at every moment.

One thread applies, one (maintenance) checkpoints and merges, any number search. Searches take the current
`View` and never wait: every change makes a new view and puts it in place of the old one.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import structlog

from services.shards.checkpoint import Frozen, load, save
from services.shards.contents import Contents
from services.shards.domain import compaction
from services.shards.domain.manifest import RecoveryCriteria, ShardManifest
from services.shards.files import Files
from services.shards.head import NAME as HEAD
from services.shards.joining import effect_of
from services.shards.live_recall import RecentQueries
from services.shards.part import PartView, ShardPart
from services.shards.patches import Newer
from services.shards.records import ShardEntry
from services.shards.segment import SegmentContent, write_segment
from services.shards.settings import ShardsSettings
from services.shards.store import (
    ENGINE,
    PATCHES,
    SEGMENTS,
    SNAPSHOTS,
    OutdatedError,
    RefusedError,
    ShardStore,
)
from services.shards.view import ProductPlace, View
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
        self._title_weight = settings.lexical.title_weight
        self._policy = compaction.CompactionPolicy(seal_rows=settings.seal_rows)
        self._queries = RecentQueries()
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
        recovery = recovery._replace(shard=(identity.generation, identity.partition))
        manifest, contents = _empty(identity, recovery.now), Contents(settings.lexical)
        for name in store.manifests():
            try:
                manifest, contents = load(store, name, recovery, settings=settings.lexical)
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

    def place(self, product_id: str) -> ProductPlace | None:
        """Return where a product is now; None: it does not live. Any thread may ask."""
        held = self._contents.held(product_id)
        if held is not None and held.part.live[held.place]:
            return ProductPlace(held.part, held.place)
        return self._view.place(product_id)  # perhaps it is being moved this moment

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
            contents = self._contents
            done = contents.next_offset or 0
            unseen = [entry for entry in entries if entry.offset >= done]
            contents.check(unseen)
            with stage("join"):
                effect = effect_of(unseen, contents, model=contents.model)
            with stage("rows"):
                contents.change(effect)
            if compaction.must_seal(self._policy, rows=contents.head_size):
                contents.seal(self._write)
            contents.next_offset = max(done, next_offset)
            self._view = self._look()
            return Applied(effect.applied, len(entries) - effect.applied)

    def checkpoint(self, now: datetime) -> bool:
        """Store the present state durably; False when there is nothing new. Searches and writes go on.

        Raises `FencedError` when a newer epoch has claimed the shard: nothing was published then.
        """
        with self._maintaining:
            if self._closed or not self.unsaved:
                return False
            with self._writing:
                frozen, made_before = self._freeze(), self._store.sequence
            try:
                self._saved = save(self._store, frozen, previous=self._saved, now=now)
            except OSError:  # half a checkpoint would keep the disk full
                self._discard(frozen.snapshot, made_before)
                raise
            self._merged = False
            with self._writing:
                for newer in frozen.newer:
                    if (part := self._contents.segments.get(newer.part.name)) is not None:
                        part.saved(newer.states)
                in_use, made = set(self._contents.segments), self._store.sequence
            self._store.sweep(in_use, made=made)
            log.info("shard.saved", root=str(self._store.root), next_offset=frozen.next_offset)
            return True

    def merge(self) -> bool:
        """Merge what the policy picks; False when there is nothing to do. Searches and writes go on."""
        with self._maintaining:
            before = {part.name: part for part in self._view.parts if part.name != HEAD}
            chosen = compaction.merge_candidates(self._policy, [_size(part) for part in before.values()])
            if self._closed or not chosen:
                return False
            sources = {name: before[name] for name in chosen}
            merged = self._write(list(sources.values()))
            with self._writing:
                self._contents.swap(sources, merged)
                self._view = self._look()
                self._merged = True
            size = merged.size if merged is not None else 0
            log.info("segments.merged", root=str(self._store.root), merged=list(chosen), products=size)
            return True

    def close(self) -> None:
        """Let go of it; what was not saved is read from the log again."""
        with self._maintaining, self._writing:
            self._closed = True

    def _freeze(self) -> Frozen:
        """Seal the head and hold everything that makes up this moment (under the writer's lock)."""
        contents = self._contents
        contents.seal(self._write)
        self._view = self._look()
        segments = list(contents.segments.values())
        return Frozen(
            snapshot=self._store.new_name("c"),
            next_offset=contents.next_offset,
            fingerprint=contents.fingerprint,
            dimensions=contents.dimensions,
            parts=[part.view for part in segments],
            newer=[_unsaved(part) for part in segments],
            all_newer=[_newer(part.view) for part in segments],
            deleted=dict(contents.deleted),
        )

    def _discard(self, snapshot: str, made_before: int) -> None:
        """Remove what a checkpoint wrote that was not published."""
        self._store.files.remove(self._store.path(SNAPSHOTS, snapshot))
        self._store.discard_since(PATCHES, made_before)

    def _write(self, parts: Sequence[PartView]) -> PartView | None:
        content = SegmentContent.of(parts)
        if not content.size:
            return None
        name = self._store.new_name("s")
        directory = self._store.path(SEGMENTS, name)
        try:
            segment = write_segment(
                directory,
                content,
                self._store.files,
                title_weight=self._title_weight,
                queries=self._queries.vectors(parts[0].rows.vectors.shape[1]),
            )
        except OSError:  # as above
            self._store.files.remove(directory)
            raise
        log.info("segment.written", root=str(self._store.root), segment=name, products=content.size)
        return segment

    def _look(self) -> View:
        contents = self._contents
        return View(
            contents.views,
            contents.next_offset,
            contents.fingerprint,
            contents.dimensions,
            self._title_weight,
            self._queries,
        )


def _size(part: PartView) -> compaction.SegmentSize:
    live = int(part.live.sum())
    newer = int((part.live & (part.newer_at >= 0)).sum())
    return compaction.SegmentSize(part.name, part.size, live, newer)


def _unsaved(part: ShardPart) -> Newer:
    states = {place: state for place, state in part.unsaved.items() if part.view.live[place]}
    return Newer(part.view, dict(sorted(states.items())))


def _newer(view: PartView) -> Newer:
    places = np.flatnonzero(view.live & (view.newer_at >= 0)).tolist()
    return Newer(view, {place: view.newer[view.newer_at[place]] for place in places})


def _empty(identity: Identity, now: datetime) -> ShardManifest:
    return ShardManifest(
        engine=ENGINE,
        generation=identity.generation,
        partition=identity.partition,
        epoch=identity.epoch,
        written_at=now,
    )
