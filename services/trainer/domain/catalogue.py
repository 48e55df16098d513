"""The catalogue as its changes say it is, of as few products as a data set needs."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from heapq import heappush, heapreplace

from schemas.catalogue import Document, ProductChange
from services.trainer.domain.listing import Listing, key_of
from services.trainer.domain.selection import Selection
from shared.documents import EMPTY, admit


@dataclass(slots=True)
class _Known:
    document: Document = EMPTY
    first: int = -1
    """The lowest version of a whole write, whose attributes gave the key; -1: none yet."""
    key: str = ""


class Catalogue:
    """Merges changes of the products that are `named`, and of a sample of the others.

    Sampled are those with the lowest hashes of seed and id: whatever the order of the changes, a product
    that is in the sample at the end was in it since its first change.
    """

    def __init__(self, named: Iterable[str], selection: Selection, *, seed: int) -> None:
        self._named = frozenset(named)
        self._selection = selection
        self._seed = seed
        self._known: dict[str, _Known] = {}
        self._sample: list[tuple[int, str]] = []
        """A heap of (minus its hash, id): the highest hash is the next to go."""

    def take(self, change: ProductChange) -> None:
        """Merge a change; raises `PoisonError` as the embedder does."""
        if change.product_id not in self._known and not self._is_wanted(change.product_id):
            return
        known = self._known.setdefault(change.product_id, _Known())
        known.document = admit(known.document, change)
        if change.op == "upsert" and (known.first < 0 or change.version < known.first):
            known.first = change.version
            known.key = key_of(change.product_id, change.fields, self._selection)

    def listings(self) -> dict[str, Listing]:
        """Return those that exist and have a text, by id."""
        found = {
            product_id: Listing.of(product_id, known.document.fields, self._selection, key=known.key)
            for product_id, known in self._known.items()
            if known.document.exists
        }
        return {product_id: it for product_id, it in found.items() if it.product.text}

    def _is_wanted(self, product_id: str) -> bool:
        """Whether it is named, or comes into the sample, which then may have to let another go."""
        if product_id in self._named:
            return True
        lot = -int.from_bytes(sha256(f"{self._seed}\t{product_id}".encode()).digest()[:8], "big")
        if len(self._sample) < self._selection.corpus:
            heappush(self._sample, (lot, product_id))
            return True
        if not self._sample or (lot, product_id) <= self._sample[0]:
            return False
        self._known.pop(heapreplace(self._sample, (lot, product_id))[1], None)
        return True
