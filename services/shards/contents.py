"""What a shard holds in memory: its parts, and where each product lies in them.

Only the shard's writer changes it; readers have views, whose arrays are never written to.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from schemas.index import AttributeRecord
from services.shards.head import NAME as HEAD
from services.shards.head import Head
from services.shards.joining import BatchEffect, Held, differences
from services.shards.part import PartView, ShardPart, StateChange
from services.shards.products import ProductParser
from services.shards.records import ShardEntry
from shared.errors import PoisonError
from shared.retrieval.settings import TextSettings

Written = Callable[[Sequence[PartView]], PartView | None]
"""Writes the living products of parts as a segment; None when there are none."""
PLACES = 32
"""Bits of a place in a product's address; above them is the number of its part."""


class FingerprintError(PoisonError):
    """A record was embedded by another model than the shard's."""

    def __init__(self, explanation: str) -> None:
        super().__init__("fingerprint.mismatch", explanation)


class Contents:
    """Parts (segments, then the head), where the living products are, and the epochs of the deleted."""

    def __init__(self, settings: TextSettings) -> None:
        self.deleted: dict[str, int] = {}
        self.next_offset: int | None = None
        self.fingerprint: str | None = None
        self.dimensions: int | None = None
        self._settings = settings
        self._reader = ProductParser(settings)
        self._parts: dict[int, ShardPart] = {}
        self._head: Head | None = None
        self._head_number = 0
        self._addresses: dict[str, int] = {}
        self._numbers = 0

    @property
    def views(self) -> tuple[PartView, ...]:
        """The present moment of every part, the head last."""
        return tuple(part.view for part in self._parts.values())

    @property
    def segments(self) -> dict[str, ShardPart]:
        """The immutable parts by name."""
        return {part.view.name: part for part in self._parts.values() if part.view.name != HEAD}

    @property
    def head_size(self) -> int:
        """Places in the head."""
        return self._head.view.size if self._head is not None else 0

    @property
    def model(self) -> tuple[str, int]:
        """Fingerprint and dimensions."""
        return self.fingerprint or "", self.dimensions or 1

    def epoch(self, product_id: str) -> int | None:
        """Return under which epoch a product was merged, one that was deleted too; None: it is not known."""
        held = self.held(product_id)
        return self.deleted.get(product_id) if held is None else int(held.part.epochs[held.place])

    def held(self, product_id: str) -> Held | None:
        """Return where a product lives; None: it does not."""
        address = self._addresses.get(product_id)
        part = None if address is None else self._parts.get(address >> PLACES)
        if address is None or part is None:
            return None
        return Held(part.view, address & (1 << PLACES) - 1)

    def check(self, entries: Sequence[ShardEntry]) -> None:
        """Raise `FingerprintError` for another model's record, `PoisonError` for other dimensions."""
        for entry in entries:
            record = entry.record
            if record is None:
                continue
            self.fingerprint = self.fingerprint or record.fingerprint
            if record.fingerprint != self.fingerprint:
                raise FingerprintError(
                    f"offset {entry.offset}: product {entry.product_id} was embedded by model "
                    f"{record.fingerprint}, this shard holds {self.fingerprint}"
                )
            if isinstance(record, AttributeRecord):
                continue
            self.dimensions = self.dimensions or record.dimensions
            if record.dimensions != self.dimensions:
                explanation = f"{record.dimensions} dimensions, the shard has {self.dimensions}"
                raise PoisonError("vectors.dimensions", explanation)

    def change(self, effect: BatchEffect) -> None:
        """Put a batch's effect in place."""
        by_part: dict[int, list[StateChange]] = {}
        for product_id, (_, change) in effect.states.items():
            by_part.setdefault(self._addresses[product_id] >> PLACES, []).append(change)
        for number, changes in by_part.items():
            self._parts[number].change(sorted(changes, key=_place))
        self._kill(effect)
        self._append(effect)

    def add(self, part: ShardPart) -> None:
        """Take a part in, whose living products live nowhere else."""
        number, view = self._numbered(part), part.view
        places = np.flatnonzero(view.live).tolist()
        ids = np.char.decode(view.ids[view.live], "utf-8").tolist() if places else []
        self._addresses.update(zip(ids, (number << PLACES | place for place in places), strict=True))

    def seal(self, write: Written) -> None:
        """Turn the head's living products into a segment."""
        if self._head is None:
            return
        view = write([self._head.view])
        self._parts.pop(self._head_number)
        self._head = None
        if view is not None:
            self.add(ShardPart(view))

    def swap(self, before: Mapping[str, PartView], merged: PartView | None) -> None:
        """Put the merged segment in the place of its sources, with what changed while it was written."""
        now = self.segments
        changes, gone, first = list[StateChange](), list[int](), 0
        for name, source in before.items():
            view, places = now[name].view, np.flatnonzero(source.live)
            gone += (first + np.flatnonzero(~view.live[places])).tolist()
            newer = view.live[places] & (view.newer_at[places] != source.newer_at[places])
            changes += [
                _moved(source, view, (int(places[at]), first + at)) for at in np.flatnonzero(newer).tolist()
            ]
            first += len(places)
        self._parts = {number: part for number, part in self._parts.items() if part.view.name not in before}
        if merged is not None:
            part = ShardPart(merged)
            part.change(changes)
            part.kill(gone)
            self.add(part)

    def _kill(self, effect: BatchEffect) -> None:
        by_part: dict[int, list[int]] = {}
        for product_id, entry in effect.products.items():
            address = self._addresses.pop(product_id, None)
            if address is not None:
                by_part.setdefault(address >> PLACES, []).append(address & (1 << PLACES) - 1)
            self.deleted.pop(product_id, None)
            if entry.deleted and entry.epoch is not None:
                self.deleted[product_id] = entry.epoch
        for number, places in by_part.items():
            self._parts[number].kill(places)

    def _append(self, effect: BatchEffect) -> None:
        living = [entry for entry in effect.products.values() if not entry.deleted]
        products = [
            self._reader.product(entry.record, entry.offset, entry.vectors)
            for entry in living
            if entry.record is not None
        ]
        if not products:
            return
        if self._head is None:
            self._head = Head(self.dimensions or 1, title_weight=self._settings.title_weight)
            self._head_number = self._numbered(self._head)
        first, number = self._head.view.size, self._head_number
        self._head.append(products)
        for place, product in enumerate(products, first):
            self._addresses[product.product_id] = number << PLACES | place

    def _numbered(self, part: ShardPart) -> int:
        self._numbers += 1
        self._parts[self._numbers] = part
        if self._head is not None and part is not self._head:  # the head stays last
            self._parts[self._head_number] = self._parts.pop(self._head_number)
        return self._numbers


def _place(change: StateChange) -> int:
    return change.place


def _moved(source: PartView, view: PartView, places: tuple[int, int]) -> StateChange:
    """Return a product's present state as a change of what it was at its source; places: there, and now."""
    place, to = places
    state = view.state(place)
    changed = differences(source.state(place), state)
    return StateChange(to, int(view.offsets[place]), int(view.epochs[place]), state, changed)
