"""From a shard's memory to a manifest on disk, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from services.shards.contents import Contents
from services.shards.domain.apply import RecordOrigin
from services.shards.domain.bitmap import pack
from services.shards.domain.manifest import RecoveryCriteria, SegmentEntry, ShardManifest, StoredFile
from services.shards.rows import SegmentView
from services.shards.store import (
    DELETED,
    LEXICAL,
    SEGMENTS,
    SNAPSHOTS,
    ShardStore,
    live_products,
    load_parts,
    read_deleted,
)
from shared.errors import LogReplacedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A shard as it was under the writer's lock; nothing in it changes any more."""

    snapshot: str
    next_offset: int | None
    fingerprint: str | None
    dimensions: int | None
    topics: tuple[str, ...]
    parts: Sequence[SegmentView]
    deleted: Mapping[str, RecordOrigin]
    pinned: Sequence[Path]
    """The text index's files, held against removal."""


def save(store: ShardStore, frozen: Frozen, *, previous: ShardManifest, now: datetime) -> ShardManifest:
    """Write everything that is not on disk yet, then publish the manifest that names it all.

    Files that the previous manifest has (they are immutable) are linked and keep their checksums.
    """
    known = {file.path: file for file in previous.files()}
    directory = store.files.directory(store.path(SNAPSHOTS, frozen.snapshot) / LEXICAL)
    lexical = tuple(_bring(store, path, directory / path.name, previous=previous) for path in frozen.pinned)
    deleted = directory.parent / DELETED
    origins = {product_id: tuple(origin) for product_id, origin in frozen.deleted.items()}
    store.files.write(deleted, orjson.dumps(origins))
    for folder in (directory, directory.parent, directory.parent.parent):
        store.files.sync(folder)
    manifest = previous.model_copy(
        update={
            "snapshot": frozen.snapshot,
            "next_offset": frozen.next_offset,
            "fingerprint": frozen.fingerprint,
            "dimensions": frozen.dimensions,
            "written_at": now,
            "topics": frozen.topics,
            "segments": tuple(_segment(store, part, known) for part in frozen.parts),
            "lexical": lexical,
            "deleted": store.stored(deleted),
        }
    )
    store.publish(manifest)
    return manifest


def _bring(store: ShardStore, path: Path, target: Path, *, previous: ShardManifest) -> StoredFile:
    """Link the text index's file from the previous checkpoint, else bring it from where it is pinned."""
    for file in previous.lexical:
        if Path(file.path).name == path.name and path.suffix != ".json":
            store.files.copy(store.root / file.path, target)
            return file.model_copy(update={"path": target.relative_to(store.root).as_posix()})
    store.files.copy(path, target)
    return store.stored(target)


def _segment(store: ShardStore, part: SegmentView, known: Mapping[str, StoredFile]) -> SegmentEntry:
    directory = store.path(SEGMENTS, part.unit.name)
    paths = sorted(directory.iterdir())
    files = [known.get(path.relative_to(store.root).as_posix()) or store.stored(path) for path in paths]
    live = pack(part.live).tobytes()
    return SegmentEntry(name=part.unit.name, rows=len(part.live), live=live, files=tuple(files))


def load(store: ShardStore, name: str, recovery: RecoveryCriteria) -> tuple[ShardManifest, Contents]:
    """Return a state that verifies, in memory; raises `RefusedError` with the reason when it does not.

    Raises `LogReplacedError` when it is of another log than the one that is read, and what that replaces.
    """
    manifest = store.verified(name, recovery)
    if recovery.of_another_log(manifest):
        if manifest.log != recovery.log.replaces:
            raise LogReplacedError(store.root, identity=manifest.log, offset=manifest.next_offset or 0)
        manifest = manifest.model_copy(update={"next_offset": None})
    contents = Contents()
    contents.next_offset = manifest.next_offset
    contents.fingerprint, contents.dimensions = manifest.fingerprint, manifest.dimensions
    contents.topics = list(manifest.topics)
    contents.parts = load_parts(store, manifest)
    living = live_products(contents.parts, manifest.topics)
    contents.offsets = {product_id: offset for product_id, (offset, _) in living.items()}
    contents.origins = {product_id: origin for product_id, (_, origin) in living.items()}
    if manifest.deleted is not None:
        contents.origins |= read_deleted(store.root / manifest.deleted.path)
    return manifest, contents


def lexical_directory(store: ShardStore, manifest: ShardManifest) -> Path | None:
    """Return where the snapshot of the text index lies; None: there is none."""
    return store.path(SNAPSHOTS, manifest.snapshot) / LEXICAL if manifest.snapshot else None
