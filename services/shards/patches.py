"""Patches: newer states of products in segments, on disk. A price is some hundred bytes there, no product."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from services.shards.archive import Arrays, Blobs, joined, mapped, packed
from services.shards.domain.manifest import PatchEntry, ShardManifest
from services.shards.joining import differences
from services.shards.part import PartView, ShardPart, State, StateChange
from services.shards.store import PATCHES, ShardStore

CONTENT = "states.arrays"
MOST = 8
"""Patches that a checkpoint names; then one is written that says all of it."""


class Newer(NamedTuple):
    """The states of a segment that are newer than what is on disk of them, by place; the places ascend."""

    part: PartView
    states: Mapping[int, bytes]


def write_patch(store: ShardStore, newer: Sequence[Newer]) -> PatchEntry | None:
    """Write these states into a new directory, synced; None when there are none."""
    states = [state for part in newer for state in part.states.values()]
    if not states:
        return None
    name = store.new_name("p")
    directory = store.files.directory(store.path(PATCHES, name))
    store.files.write_pieces(directory / CONTENT, _pieces(newer, states))
    store.files.sync(directory)
    store.files.sync(directory.parent)
    return PatchEntry(name=name, states=len(states), file=store.stored(directory / CONTENT))


def apply_patches(store: ShardStore, manifest: ShardManifest, parts: Mapping[str, ShardPart]) -> None:
    """Put the states of a manifest's patches in place; raises ValueError if they do not fit."""
    last: dict[str, dict[int, StateChange]] = {name: {} for name in parts}
    for patch in manifest.patches:
        for name, change in _read(store.root / patch.file.path):
            if name in last:  # else the segment is gone, and another has what was in it
                last[name][change.place] = change
    for name, changes in last.items():
        parts[name].change([_against(parts[name].view, changes[place]) for place in sorted(changes)])


def _pieces(newer: Sequence[Newer], blobs: list[bytes]) -> Iterator[bytes | memoryview]:
    data, ends = joined(blobs)
    numbers = np.repeat(np.arange(len(newer), dtype=np.uint32), [len(states) for _, states in newer])
    arrays: Arrays = {
        "parts": numbers,
        "places": np.array([place for _, states in newer for place in states], np.int64),
        "offsets": np.concatenate([part.offsets[list(states)] for part, states in newer]),
        "epochs": np.concatenate([part.epochs[list(states)] for part, states in newer]),
        "states": data,
        "states.ends": ends,
    }
    yield from packed(arrays, {"parts": [part.name for part, _ in newer]})


def _read(path: Path) -> Iterator[tuple[str, StateChange]]:
    arrays, notes = mapped(path)
    states = Blobs(arrays["states"], arrays["states.ends"])
    columns = (arrays[name].tolist() for name in ("parts", "places", "offsets", "epochs"))
    for number, (part, place, offset, epoch) in enumerate(zip(*columns, strict=True)):
        yield notes["parts"][part], StateChange(place, offset, epoch, State.read(states[number]), {})


def _against(view: PartView, change: StateChange) -> StateChange:
    if not 0 <= change.place < view.size:
        raise ValueError(f"a patch has a product at place {change.place} of segment {view.name}")
    return change._replace(changed=differences(view.state(change.place), change.state))
