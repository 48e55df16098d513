"""A part of a shard: products at places, from 0, with all that is asked of them; and its views.

What is of a product's texts never changes: vectors, words, the texts themselves. A product that gets others
gets another place, in the head. What may change while it stays where it is, is whether it lives, its
attributes, and where in the log its last record lay. A `PartView` shows one moment of all of it: the writer
puts new arrays in place of the old ones, and never writes to one that a view has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from schemas.base import FieldValue
from schemas.catalogue import Document
from schemas.filters import Filter
from services.shards.columns import Columns, gathered, mask, overwritten
from services.shards.dense import DensePart
from services.shards.domain.bitmap import Mask
from services.shards.rows import Floats, Integers, Rows
from shared.retrieval.bm25 import CorpusStatistics, TextPart
from shared.retrieval.postings import Postings


class Details(msgspec.Struct, array_like=True):
    """What is shown of a product beside its attributes, and what the next attribute record is joined with."""

    content_hash: str
    passages: tuple[tuple[int, int], ...]
    source: tuple[str, int, int]
    """Topic, partition and offset of the last change that was merged in."""
    epoch: int
    event_time: datetime
    document: Document
    """Without its visible fields."""


_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Details)


class State(NamedTuple):
    """What of a product changes while it stays where it is: attributes without words, and the details."""

    attributes: bytes
    """JSON without its braces, on one line."""
    details: bytes

    @classmethod
    def of(cls, attributes: Mapping[str, FieldValue], details: Details) -> "State":
        """Return the state as it is kept."""
        return cls(fragment(attributes), _ENCODER.encode(details))

    @classmethod
    def read(cls, kept: bytes) -> "State":
        """Return what `packed` was made of."""
        attributes, _, details = kept.partition(b"\n")
        return cls(attributes, details)

    @property
    def packed(self) -> bytes:
        """Both as one."""
        return self.attributes + b"\n" + self.details

    def read_details(self) -> Details:
        """Return the details."""
        return _DECODER.decode(self.details)


def fragment(fields: Mapping[str, FieldValue]) -> bytes:
    """Return fields as JSON without its braces, so that documents are made by joining."""
    return orjson.dumps(fields)[1:-1]


def parsed(*fragments: bytes) -> dict[str, FieldValue]:
    """Return the fields of fragments; lists stay lists."""
    fields: dict[str, FieldValue] = orjson.loads(braced(*fragments))
    return fields


def braced(*fragments: bytes) -> bytes:
    """Return fragments as one JSON object."""
    return b"{" + b",".join(filter(None, fragments)) + b"}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartView:
    """One moment of a part, for any number of readers."""

    name: str
    ids: NDArray[np.bytes_]
    """[n], UTF-8."""
    rows: Rows
    blocks: tuple[Postings, ...]
    lengths: NDArray[np.uint32]
    """[2, n]: terms of each product's title, and of its body."""
    weighted_lengths: Floats
    texts: Sequence[bytes]
    """Of each product the attributes with words, as a fragment of JSON."""
    states: Sequence[bytes]
    """As they were when the part was made."""
    newer_at: NDArray[np.int32]
    """[n]: which of `newer` is the state; -1: it is as it was."""
    newer: Sequence[bytes]
    live: Mask
    offsets: Integers
    """[n]: of the last record of each product."""
    epochs: Integers
    columns: Columns
    statistics: CorpusStatistics
    """Of the live products."""
    funnel: DensePart | None = None
    """How nearest rows are found without looking at all; None: all are looked at."""

    @property
    def size(self) -> int:
        """How many places there are."""
        return len(self.ids)

    @property
    def text(self) -> TextPart:
        """The words of the products."""
        everything = self.statistics.documents == self.size
        return TextPart(self.blocks, self.weighted_lengths, None if everything else self.live)

    def product_id(self, place: int) -> str:
        """Return whose place it is."""
        return bytes(self.ids[place]).decode()

    def state(self, place: int) -> State:
        """Return what the product's state is now."""
        number = self.newer_at[place]
        return State.read(self.states[place] if number < 0 else self.newer[number])

    def fields(self, place: int) -> bytes:
        """Return the product's attributes as JSON."""
        return braced(self.texts[place], self.state(place).attributes)

    def parsed_fields(self, place: int) -> dict[str, FieldValue]:
        """Return the product's attributes; lists are lists."""
        return parsed(self.texts[place], self.state(place).attributes)

    def allowed(self, filters: Sequence[Filter]) -> Mask:
        """Return which live products pass every filter."""
        passed = self.live
        for condition in filters:
            passed = passed & mask(condition, self.columns, self.size, fields_of=self.parsed_fields)
        return passed

    def row_mask(self, allowed: Mask) -> Mask:
        """Return which rows are of products that are allowed."""
        return allowed[self.rows.places]


class StateChange(NamedTuple):
    """Another state of a product: its fields of no words, and which of them are not as they were."""

    place: int
    offset: int
    epoch: int
    state: State
    changed: Mapping[str, FieldValue]
    """The values that attributes have now; null: none any more."""


class ShardPart:
    """The writer's hand on a part; `view` is its present moment."""

    def __init__(self, view: PartView) -> None:
        self.view = view
        self.unsaved: dict[int, bytes] = {}
        """States that no patch has yet, by place; of a segment."""
        self._garbage = 0

    def kill(self, places: Sequence[int]) -> None:
        """Take products out."""
        if not places:
            return
        view = self.view
        live = view.live.copy()
        live[places] = False
        titles, bodies = view.lengths[:, places].sum(axis=1, dtype=np.int64).tolist()
        documents, title_terms, body_terms = view.statistics
        self.view = replace(
            view,
            live=live,
            statistics=CorpusStatistics(documents - len(places), title_terms - titles, body_terms - bodies),
        )

    def change(self, changes: Sequence[StateChange]) -> None:
        """Put other states in place, of each product one; the changes are in the order of their places."""
        if not changes:
            return
        view = self.view
        places = [change.place for change in changes]
        offsets, epochs, newer_at = view.offsets.copy(), view.epochs.copy(), view.newer_at.copy()
        newer = view.newer if isinstance(view.newer, list) else []
        self._garbage += int((newer_at[places] >= 0).sum())
        if self._garbage > len(newer) // 2 + 1024:  # a new list: readers have the old one
            newer, self._garbage = self._compacted(newer_at), 0
        offsets[places] = [change.offset for change in changes]
        epochs[places] = [change.epoch for change in changes]
        newer_at[places] = np.arange(len(newer), len(newer) + len(changes))
        states = [change.state.packed for change in changes]
        newer.extend(states)
        self.unsaved.update(zip(places, states, strict=True))
        self.view = replace(
            view,
            offsets=offsets,
            epochs=epochs,
            newer_at=newer_at,
            newer=newer,
            columns=self._columns(changes),
        )

    def saved(self, states: Mapping[int, bytes]) -> None:
        """Note that a patch has these states: those that were not changed since are saved."""
        self.unsaved = {
            place: state for place, state in self.unsaved.items() if states.get(place) is not state
        }

    def _columns(self, changes: Sequence[StateChange]) -> Columns:
        names: dict[str, list[int]] = {}
        for change in changes:
            for name in change.changed:
                names.setdefault(name, []).append(change.place)
        if not names:
            return self.view.columns
        batch = gathered([(change.place, change.changed) for change in changes])
        return overwritten(self.view.columns, names, batch)

    def _compacted(self, newer_at: NDArray[np.int32]) -> list[bytes]:
        """Return the newer states that count, and note where each is."""
        held = np.flatnonzero(newer_at >= 0)
        newer = [self.view.newer[number] for number in newer_at[held].tolist()]
        newer_at[held] = np.arange(len(newer))
        return newer
