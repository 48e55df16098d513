"""The catalogue as its changes say it is, of as few products as a data set needs."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from heapq import heappush, heapreplace

from schemas.catalogue import Appended, Document, StampedChange
from services.trainer.dataset.domain.entry import CatalogueEntry, key_of
from services.trainer.dataset.domain.selection import DatasetSelection
from shared.catalogue.documents import EMPTY, admit


@dataclass(slots=True)
class _MergedProduct:
    document: Document = EMPTY
    first: Appended | None = None
    """When the whole write was appended whose attributes gave the key, the first one; None: none yet."""
    key: str = ""


class TrainingCatalogue:
    """Merges changes of the products that are `named`, and of a sample of the others.

    Sampled are those with the lowest hashes of seed and id: whatever the order of the changes, a product
    that is in the sample at the end was in it since its first change.
    """

    def __init__(self, named: Iterable[str], selection: DatasetSelection, *, seed: int) -> None:
        self._named = frozenset(named)
        self._selection = selection
        self._seed = seed
        self._products: dict[str, _MergedProduct] = {}
        self._sample: list[tuple[int, str]] = []
        """A heap of (minus its hash, id): the highest hash is the next to go."""

    def take(self, change: StampedChange) -> None:
        """Merge a change; raises `PoisonError` as the embedder does."""
        if change.product_id not in self._products and not self._is_wanted(change.product_id):
            return
        product = self._products.setdefault(change.product_id, _MergedProduct())
        product.document = admit(product.document, change).document
        appended = change.stamp.appended
        if change.op == "upsert" and (product.first is None or appended < product.first):
            product.first = appended
            product.key = key_of(change.product_id, change.fields, self._selection)

    def entries(self) -> dict[str, CatalogueEntry]:
        """Return the products that exist and have a text, by id."""
        entries = {
            product_id: CatalogueEntry.of(
                product_id, product.document.fields, self._selection, key=product.key
            )
            for product_id, product in self._products.items()
            if product.document.exists
        }
        return {product_id: entry for product_id, entry in entries.items() if entry.product.text}

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
        _, dropped = heapreplace(self._sample, (lot, product_id))
        self._products.pop(dropped, None)
        return True
