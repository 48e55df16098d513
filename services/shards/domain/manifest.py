"""The manifest: what makes up one consistent state of a shard, and how long it is kept."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, StringConstraints

from schemas.base import Fingerprint, GenerationName, Offset, Timestamp, Value
from shared.records import UNKNOWN_LOG, Log

FORMAT: Literal[1] = 1
KEPT_CHECKPOINTS = 2
_NAME = re.compile(r"[a-z]([0-9]{6,})-([0-9]{6,})")
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][0-9]{6,}-[0-9]{6,}$")]


class StoredFile(Value):
    """A file of the shard, relative to its directory, with what it must contain."""

    path: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._/-]*$")]
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class SegmentEntry(Value):
    """An immutable segment and which of its products live."""

    name: Name
    products: Annotated[int, Field(ge=0)]
    live: bytes
    files: tuple[StoredFile, ...]


class PatchEntry(Value):
    """Newer states of products in segments, as of one checkpoint."""

    name: Name
    states: Annotated[int, Field(ge=0)]
    file: StoredFile


class ShardManifest(Value):
    """One consistent state: everything up to `next_offset` is in these files, and nothing else."""

    format: Literal[1] = FORMAT
    engine: str
    """Version of what is in the files; another one is refused and rebuilt from the log."""
    generation: GenerationName
    partition: Annotated[int, Field(ge=0)]
    epoch: Annotated[int, Field(ge=0)]
    """The fencing token of the owner that published it."""
    snapshot: Name | None = None
    """The checkpoint that wrote the files; None: an empty shard, claimed by `epoch`."""
    next_offset: Offset | None = None
    """The first record that is not in it; None: it has seen nothing."""
    log: str = ""
    """The identity of the topic that this is an offset of; empty: not known."""
    fingerprint: Fingerprint | None = None
    dimensions: int | None = None
    written_at: Timestamp
    """When the state was current; claiming it for a new epoch does not make it younger."""
    segments: tuple[SegmentEntry, ...] = ()
    patches: tuple[PatchEntry, ...] = ()
    """Newer states of products in segments; of one product the last counts."""
    deleted: StoredFile | None = None

    def files(self) -> tuple[StoredFile, ...]:
        """Return every file that this state needs."""
        own = (*(patch.file for patch in self.patches), *((self.deleted,) if self.deleted else ()))
        return (*own, *(file for segment in self.segments for file in segment.files))


def name(letter: str, epoch: int, sequence: int) -> str:
    """Return a file name that no other owner uses: the epoch is in it."""
    return f"{letter}{epoch:06d}-{sequence:06d}"


def parsed(text: str) -> tuple[int, int] | None:
    """Return (epoch, sequence) of a name; None: it is none of ours."""
    match = _NAME.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def kept(newest_first: Sequence[tuple[str, ShardManifest]]) -> set[str]:
    """Return which manifests stay: the newest of each of the last two checkpoints."""
    names: dict[str | None, str] = {}
    for name, manifest in newest_first:
        names.setdefault(manifest.snapshot, name)
    return set(list(names.values())[:KEPT_CHECKPOINTS])


class RecoveryCriteria(NamedTuple):
    """What a stored state is judged by, besides its checksums."""

    now: datetime
    oldest: timedelta
    """The retention of tombstones: of deletes before it, the log may know nothing any more."""
    edges: tuple[int, int] | None = None
    """First and next offset of the log; None: not known."""
    log: Log = UNKNOWN_LOG
    shard: tuple[str, int] | None = None
    """Generation and partition that it must be of; None: whichever."""

    def of_another_log(self, manifest: ShardManifest) -> bool:
        """Whether the topic was made anew since: the state is kept, its offset means nothing."""
        return bool(self.log.identity and manifest.log) and manifest.log != self.log.identity


def refusal(manifest: ShardManifest, *, engine: str, recovery: RecoveryCriteria) -> str | None:
    """Return why this state must not be used, judged without its files; None: it may be."""
    if manifest.engine != engine:
        return f"written as {manifest.engine}, this release writes {engine}"
    of = (manifest.generation, manifest.partition)
    if recovery.shard is not None and of != recovery.shard:
        return f"is of partition {of[1]} of generation {of[0]}"
    if recovery.now - manifest.written_at > recovery.oldest:
        return f"written at {manifest.written_at.isoformat()}, longer ago than tombstones are kept"
    if (
        recovery.edges is not None
        and manifest.next_offset is not None
        and not recovery.of_another_log(manifest)
    ):
        begin, end = recovery.edges
        if not begin <= manifest.next_offset <= end:
            return f"goes on at offset {manifest.next_offset}, the log has {begin} to {end}"
    return None
