"""Which queries, and which products, are nearly those of another set."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.trainer.dataset.domain.entry import CatalogueEntry
from services.trainer.dataset.domain.selection import DatasetSelection
from shared.catalogue.near_duplicates import similar
from shared.catalogue.product_identity import same_products
from shared.catalogue.words import canonical, trigrams


@dataclass(frozen=True, slots=True)
class Similarity:
    """Compares by the selection's thresholds; products by their entries."""

    entries: Mapping[str, CatalogueEntry]
    selection: DatasetSelection

    def pair_key(self, query: str, product_id: str) -> tuple[str, str]:
        """Return what two pairs have in common that plainly say the same."""
        return canonical(query), self.entries[product_id].key

    def queries(self, ours: Iterable[str], theirs: Iterable[str]) -> set[str]:
        """Return those of `ours` that ask nearly what one of `theirs` asks: by trigrams of their forms."""
        return similar(_forms(ours), _forms(theirs), self.selection.similar_query)

    def products(self, ours: Iterable[str], theirs: Iterable[str]) -> set[str]:
        """Return those of `ours` that are the same product as one of `theirs`, or share its key."""
        left = {product_id: self.entries[product_id] for product_id in ours}
        right = {product_id: self.entries[product_id] for product_id in theirs}
        keys = {entry.key for entry in right.values()}
        of_one_key = {product_id for product_id, entry in left.items() if entry.key in keys}
        return of_one_key | same_products(
            {product_id: entry.identity for product_id, entry in left.items()},
            {product_id: entry.identity for product_id, entry in right.items()},
            self.selection.similar_product,
        )


def _forms(queries: Iterable[str]) -> dict[str, frozenset[str]]:
    return {query: trigrams(canonical(query)) for query in queries}
