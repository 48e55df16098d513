"""A shard's directory: manifests that are published whole, and the files that they name.

    lock  manifests/m<epoch>-<n>.json  segments/s<epoch>-<n>/  patches/p<epoch>-<n>/  snapshots/c<epoch>-<n>/

This is fenced state (`shared.state.fenced`) in files: a manifest holds the epoch of its owner and the next
offset of the log, and is replaced whole. Every name carries the epoch that wrote it, so two owners never
write the same file; the one with the older epoch is refused before it publishes and before it removes
anything.
"""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import structlog
from pydantic import ValidationError

from services.shards.domain.manifest import (
    RecoveryCriteria,
    ShardManifest,
    StoredFile,
    kept,
    name,
    parsed,
    refusal,
)
from services.shards.files import Files, described, exclusive, fault
from shared.errors import FencedError

log = structlog.get_logger()

MANIFESTS, SEGMENTS, PATCHES, SNAPSHOTS = "manifests", "segments", "patches", "snapshots"
FOLDERS = (SEGMENTS, PATCHES, SNAPSHOTS)
"""What a checkpoint's files lie in, each in a directory with a name that was never used."""
DELETED = "deleted.json"
ENGINE = "headrace/1"
"""What is in the files, and how."""


class RefusedError(ValueError):
    """A stored state must not be used; the message says why."""


class OutdatedError(RefusedError):
    """It is of another release, which is nobody's fault."""


class ShardStore:
    """Reads and publishes the states of one shard; `epoch` is the fencing token of the caller's lease."""

    def __init__(self, root: Path, *, epoch: int, files: Files) -> None:
        self.root = root
        self.files = files
        self._epoch = epoch
        for kind in (MANIFESTS, *FOLDERS):
            files.directory(root / kind)
        self._naming = threading.Lock()
        self.sequence = max((number for _, number in self._names()), default=0)
        """Number in the last name given."""

    def path(self, kind: str, stored_name: str) -> Path:
        """Return where a segment or snapshot lies."""
        return self.root / kind / stored_name

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
        return [name for _, name in sorted(_published(self.root), reverse=True)]

    def read(self, manifest_name: str) -> ShardManifest:
        """Return a manifest; raises `RefusedError` when it is not what was written."""
        data = (self.root / MANIFESTS / f"{manifest_name}.json").read_bytes()
        digest, _, body = data.partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise RefusedError(f"manifest {manifest_name} is not what was written (SHA-256 differs)")
        engine = _engine(body)
        if engine != ENGINE:
            raise OutdatedError(
                f"manifest {manifest_name} was written as {engine}, this release writes {ENGINE}"
            )
        try:
            return ShardManifest.model_validate_json(body)
        except ValidationError as error:
            raise RefusedError(f"manifest {manifest_name} cannot be read: {error}") from error

    def verified(self, manifest_name: str, recovery: RecoveryCriteria) -> ShardManifest:
        """Return a manifest whose every file is what was written; raises `RefusedError` with the reason."""
        manifest = self.read(manifest_name)
        reason = refusal(manifest, engine=ENGINE, recovery=recovery)
        faults = (fault(self.root, file) for file in manifest.files())
        reason = reason or next((problem for problem in faults if problem is not None), None)
        if reason is not None:
            raise RefusedError(reason)
        return manifest

    def refuse_if_fenced(self) -> None:
        """Raise `FencedError` when a newer epoch has claimed this shard."""
        newest = highest_epoch(self.root)
        if newest > self._epoch:
            raise FencedError.of(self.root, stored=newest, ours=self._epoch)

    def publish(self, manifest: ShardManifest) -> None:
        """Make this the newest state: written, synced, renamed, directory synced; fenced under the lock."""
        body = manifest.model_dump_json().encode()
        with exclusive(self.root):
            self.refuse_if_fenced()
            manifest_name = self.new_name("m")
            temporary = self.root / MANIFESTS / f"{manifest_name}.tmp"
            self.files.write(temporary, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            self.files.replace(temporary, temporary.with_suffix(".json"))

    def sweep(self, in_use: set[str], *, made: int) -> None:
        """Remove what no kept manifest names and is not in use, of the names given up to number `made`.

        Never what a newer epoch wrote, nor what is being written now.
        """
        # The lock keeps a newer owner from publishing between the look at the epochs and the removal of files
        # that its manifest may have begun to name.
        with exclusive(self.root):
            self.refuse_if_fenced()
            readable = list(self._readable())
            stay = kept(readable)
            # Manifests go before the files they name: a crash in between leaves unnamed files, which
            # the next sweep finds; the other way round it would leave a manifest whose files are gone.
            for path, _ in _ours(self.root / MANIFESTS):
                if path.stem not in stay or path.suffix != ".json":
                    self.files.remove(path)
            self._remove_unnamed(in_use | _named(readable, stay), made=made)

    def _remove_unnamed(self, named: set[str], *, made: int) -> None:
        """Remove what is not named of that which has our names: of older epochs, ours up to number `made`."""
        for kind in FOLDERS:
            for path, (epoch, number) in _ours(self.root / kind):
                # What has a higher number was begun after `made` was read: it is being written now, and its
                # manifest is yet to come.
                finished = epoch < self._epoch or (epoch == self._epoch and number <= made)
                if finished and path.name not in named:
                    self.files.remove(path)

    def discard_since(self, kind: str, made: int) -> None:
        """Remove what of our epoch was given a name after number `made`, and was not published."""
        for path, (epoch, number) in _ours(self.root / kind):
            if epoch == self._epoch and number > made:
                self.files.remove(path)

    def discard(self, manifest_name: str) -> None:
        """Remove a manifest that was refused, so that it does not count as a state to fall back to."""
        self.files.remove(self.root / MANIFESTS / f"{manifest_name}.json")

    def _readable(self) -> Iterator[tuple[str, ShardManifest]]:
        for manifest_name in self.manifests():
            try:
                yield manifest_name, self.read(manifest_name)
            except RefusedError as error:
                log.warning("manifest.refused", manifest=manifest_name, reason=str(error))

    def _names(self) -> Iterator[tuple[int, int]]:
        for kind in (MANIFESTS, *FOLDERS):
            yield from (name for _, name in _ours(self.root / kind))


def _engine(body: bytes) -> str:
    """Return as what the files of a manifest were written, whatever else it says."""
    try:
        return str(orjson.loads(body)["engine"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ENGINE  # it is none, as whoever reads it will say


def _named(readable: list[tuple[str, ShardManifest]], stay: set[str]) -> set[str]:
    """Return the segments, patches and snapshots that the manifests to be kept need."""
    names: set[str] = set()
    for manifest_name, manifest in readable:
        if manifest_name in stay:
            names |= {segment.name for segment in manifest.segments} | {manifest.snapshot or ""}
            names |= {patch.name for patch in manifest.patches}
    return names


def _ours(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Yield what has a name that we give, with its epoch and number; what else lies there is left alone."""
    for path in sorted(folder.iterdir()):
        name = parsed(path.stem)
        if name is None:
            log.warning("shard.stray_file", path=str(path))
        else:
            yield path, name


def _published(root: Path) -> Iterator[tuple[tuple[int, int], str]]:
    for path in (root / MANIFESTS).glob("m*.json"):
        if (name := parsed(path.stem)) is not None:
            yield name, path.stem


def highest_epoch(root: Path) -> int:
    """Return the highest epoch that ever claimed the shard in this directory; 0: none."""
    return max((epoch for (epoch, _), _ in _published(root)), default=0)
