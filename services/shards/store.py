"""A shard's directory: manifests that are published whole, and the files that they name.

    lock  manifests/m<epoch>-<n>.json  segments/s<epoch>-<n>/...  snapshots/c<epoch>-<n>/...

Every name carries the epoch that wrote it, so two owners never write the same file; the one with the
older epoch is refused before it publishes and before it removes anything.
"""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import structlog
from pydantic import ValidationError

from services.shards.domain.apply import Origin
from services.shards.domain.bitmap import unpack
from services.shards.domain.manifest import Manifest, Recovery, StoredFile, kept, name, parsed, refusal
from services.shards.files import Files, described, exclusive, fault
from services.shards.lexical import ENGINE
from services.shards.rows import Part
from services.shards.segment import open_segment
from shared.errors import FencedError

log = structlog.get_logger()

MANIFESTS, SEGMENTS, SNAPSHOTS = "manifests", "segments", "snapshots"
LEXICAL, DELETED = "lexical", "deleted.json"


class RefusedError(ValueError):
    """A stored state must not be used; the message says why."""


class Store:
    """Reads and publishes the states of one shard; `epoch` is the caller's lease."""

    def __init__(self, root: Path, *, epoch: int, files: Files) -> None:
        self.root = root
        self.files = files
        self._epoch = epoch
        for each in (MANIFESTS, SEGMENTS, SNAPSHOTS):
            files.directory(root / each)
        self._naming = threading.Lock()
        self.sequence = max((parsed(each)[1] for each in self._names()), default=0)
        """Number in the last name given."""

    def path(self, kind: str, each: str) -> Path:
        """Return where a segment or snapshot lies."""
        return self.root / kind / each

    def new_name(self, letter: str) -> str:
        """Return a name that was never used (sealing and merging may ask at once)."""
        with self._naming:
            self.sequence += 1
            return name(letter, self._epoch, self.sequence)

    def stored(self, path: Path) -> StoredFile:
        """Describe a file below the root."""
        return described(self.root, path)

    def manifests(self) -> list[str]:
        """Return the names of all published manifests, newest first."""
        found = [path.stem for path in (self.root / MANIFESTS).glob("m*.json")]
        return sorted(found, key=parsed, reverse=True)

    def read(self, each: str) -> Manifest:
        """Return a manifest; raises `RefusedError` when it is not what was written."""
        data = (self.root / MANIFESTS / f"{each}.json").read_bytes()
        digest, _, body = data.partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise RefusedError(f"manifest {each} is not what was written (SHA-256 differs)")
        try:
            return Manifest.model_validate_json(body)
        except ValidationError as error:
            raise RefusedError(f"manifest {each} cannot be read: {error}") from error

    def verified(self, each: str, recovery: Recovery) -> Manifest:
        """Return a manifest whose every file is what was written; raises `RefusedError` with the reason."""
        manifest = self.read(each)
        reason = refusal(manifest, engine=ENGINE, recovery=recovery)
        faults = (fault(self.root, file) for file in manifest.files())
        reason = reason or next((each for each in faults if each is not None), None)
        if reason is not None:
            raise RefusedError(reason)
        return manifest

    def refuse_if_fenced(self) -> None:
        """Raise `FencedError` when a newer epoch has claimed this shard."""
        newest = highest_epoch(self.root)
        if newest > self._epoch:
            raise FencedError(f"{self.root} belongs to epoch {newest}, we hold {self._epoch}")

    def publish(self, manifest: Manifest) -> None:
        """Make this the newest state: written, synced, renamed, directory synced; fenced under the lock."""
        body = manifest.model_dump_json().encode()
        with exclusive(self.root):
            self.refuse_if_fenced()
            each = self.new_name("m")
            temporary = self.root / MANIFESTS / f"{each}.tmp"
            self.files.write(temporary, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            self.files.replace(temporary, temporary.with_suffix(".json"))

    def sweep(self, in_use: set[str], *, made: int) -> None:
        """Remove what no kept manifest names and is not in use, of the names given up to number `made`.

        Never what a newer epoch wrote, nor what is being written now.
        """
        with exclusive(self.root):
            self.refuse_if_fenced()
            readable = list(self._readable())
            stay = kept(readable)
            named = set(in_use)
            for each, manifest in readable:
                if each in stay:
                    named |= {segment.name for segment in manifest.segments} | {manifest.snapshot or ""}
            for path in sorted((self.root / MANIFESTS).iterdir()):
                if path.stem not in stay or path.suffix != ".json":
                    self.files.remove(path)
            for kind in (SEGMENTS, SNAPSHOTS):
                for path in sorted((self.root / kind).iterdir()):
                    epoch, number = parsed(path.name)
                    ours = epoch < self._epoch or (epoch == self._epoch and number <= made)
                    if ours and path.name not in named:
                        self.files.remove(path)

    def discard(self, each: str) -> None:
        """Remove a manifest that was refused, so that it does not count as a state to fall back to."""
        self.files.remove(self.root / MANIFESTS / f"{each}.json")

    def _readable(self) -> Iterator[tuple[str, Manifest]]:
        for each in self.manifests():
            try:
                yield each, self.read(each)
            except RefusedError as error:
                log.warning("manifest.refused", manifest=each, reason=str(error))

    def _names(self) -> Iterator[str]:
        for kind in (MANIFESTS, SEGMENTS, SNAPSHOTS):
            yield from (path.stem for path in (self.root / kind).iterdir())


def highest_epoch(root: Path) -> int:
    """Return the highest epoch that ever claimed the shard in this directory; 0: none."""
    found = (root / MANIFESTS).glob("m*.json")
    return max((parsed(path.stem)[0] for path in found), default=0)


def load_parts(store: Store, manifest: Manifest) -> list[Part]:
    """Open the segments with the rows that live; raises `RefusedError` when they do not fit together."""
    parts = []
    for each in manifest.segments:
        try:
            segment = open_segment(store.path(SEGMENTS, each.name))
            live = unpack(each.live, each.rows)
        except (ValueError, RuntimeError, OSError) as error:
            raise RefusedError(f"segment {each.name}: {error}") from error
        if len(segment.ids) != each.rows:
            raise RefusedError(f"segment {each.name} has {len(segment.ids)} rows, not {each.rows}")
        parts.append(Part.of(segment, live))
    return parts


def live_products(parts: list[Part], topics: tuple[str, ...]) -> dict[str, tuple[int, Origin]]:
    """Return {product: (record offset, origin)} of everything that lives in these parts."""
    found: dict[str, tuple[int, Origin]] = {}
    for part in parts:
        table = part.unit.table[part.live]
        columns = [table[each].tolist() for each in ("offset", "topic", "partition", "epoch", "source")]
        ids = np.char.decode(part.unit.ids[part.live], "ascii").tolist()
        for product_id, offset, topic, partition, epoch, source in zip(ids, *columns, strict=True):
            found[product_id] = (offset, Origin(topics[topic], partition, epoch, source))
    return found


def read_deleted(path: Path) -> dict[str, Origin]:
    """Return the origins of deleted products."""
    return {each: Origin(*origin) for each, origin in orjson.loads(path.read_bytes()).items()}
