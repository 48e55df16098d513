"""From a shard's memory to a manifest on disk, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from services.shards.contents import Contents
from services.shards.domain.bitmap import pack, unpack
from services.shards.domain.manifest import (
    PatchEntry,
    RecoveryCriteria,
    SegmentEntry,
    ShardManifest,
    StoredFile,
)
from services.shards.part import PartView, ShardPart
from services.shards.patches import MOST, Newer, apply_patches, write_patch
from services.shards.segment import of_living, open_segment
from services.shards.store import DELETED, SEGMENTS, SNAPSHOTS, RefusedError, ShardStore
from shared.errors import LogReplacedError
from shared.retrieval.settings import TextSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A shard as it was under the writer's lock; nothing in it changes any more."""

    snapshot: str
    next_offset: int | None
    fingerprint: str | None
    dimensions: int | None
    parts: Sequence[PartView]
    newer: Sequence[Newer]
    """What no patch has yet."""
    all_newer: Sequence[Newer]
    """What is not as the segments have it."""
    deleted: Mapping[str, int]


def save(store: ShardStore, frozen: Frozen, *, previous: ShardManifest, now: datetime) -> ShardManifest:
    """Write everything that is not on disk yet, then publish the manifest that names it all.

    Files that the previous manifest has (they are immutable) keep their checksums.
    """
    known = {file.path: file for file in previous.files()}
    directory = store.files.directory(store.path(SNAPSHOTS, frozen.snapshot))
    deleted = directory / DELETED
    store.files.write(deleted, orjson.dumps(dict(frozen.deleted)))
    store.files.sync(directory)
    store.files.sync(directory.parent)
    manifest = previous.model_copy(
        update={
            "snapshot": frozen.snapshot,
            "next_offset": frozen.next_offset,
            "fingerprint": frozen.fingerprint,
            "dimensions": frozen.dimensions,
            "written_at": now,
            "segments": tuple(_segment(store, part, known) for part in frozen.parts),
            "patches": _patches(store, frozen, previous.patches),
            "deleted": store.stored(deleted),
        }
    )
    store.publish(manifest)
    return manifest


def _patches(store: ShardStore, frozen: Frozen, previous: Sequence[PatchEntry]) -> tuple[PatchEntry, ...]:
    if not any(part.states for part in frozen.all_newer):
        return ()
    if len(previous) >= MOST:
        previous, newer = (), frozen.all_newer
    else:
        newer = frozen.newer
    patch = write_patch(store, newer)
    return (*previous, patch) if patch else tuple(previous)


def _segment(store: ShardStore, part: PartView, known: Mapping[str, StoredFile]) -> SegmentEntry:
    directory = store.path(SEGMENTS, part.name)
    paths = sorted(directory.iterdir())
    files = [known.get(path.relative_to(store.root).as_posix()) or store.stored(path) for path in paths]
    live = pack(part.live).tobytes()
    return SegmentEntry(name=part.name, products=part.size, live=live, files=tuple(files))


def load(
    store: ShardStore, name: str, recovery: RecoveryCriteria, *, settings: TextSettings
) -> tuple[ShardManifest, Contents]:
    """Return a state that verifies, in memory; raises `RefusedError` with the reason when it does not.

    Raises `LogReplacedError` when it is of another log than the one that is read, and what that replaces.
    """
    manifest = store.verified(name, recovery)
    if recovery.of_another_log(manifest):
        if manifest.log != recovery.log.replaces:
            raise LogReplacedError(store.root, identity=manifest.log, offset=manifest.next_offset or 0)
        manifest = manifest.model_copy(update={"next_offset": None})
    contents = Contents(settings)
    contents.next_offset = manifest.next_offset
    contents.fingerprint, contents.dimensions = manifest.fingerprint, manifest.dimensions
    if manifest.deleted is not None:
        contents.deleted = orjson.loads((store.root / manifest.deleted.path).read_bytes())
    parts = {entry.name: ShardPart(_opened(store, entry, settings)) for entry in manifest.segments}
    try:
        apply_patches(store, manifest, parts)
    except (ValueError, KeyError, IndexError) as error:
        raise RefusedError(f"a patch does not fit: {error}") from error
    for part in parts.values():
        part.unsaved.clear()
        contents.add(part)
    return manifest, contents


def _opened(store: ShardStore, entry: SegmentEntry, settings: TextSettings) -> PartView:
    try:
        directory: Path = store.path(SEGMENTS, entry.name)
        view = open_segment(directory, title_weight=settings.title_weight)
        live = unpack(entry.live, entry.products)
    except (ValueError, OSError) as error:
        raise RefusedError(f"segment {entry.name}: {error}") from error
    if view.size != entry.products:
        raise RefusedError(f"segment {entry.name} has {view.size} products, not {entry.products}")
    return of_living(view, live)
