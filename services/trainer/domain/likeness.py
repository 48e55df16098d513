"""Which queries, and which products, are nearly those of another set."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.trainer.domain.canonical import canonical, trigrams
from services.trainer.domain.listing import Listing
from services.trainer.domain.near_duplicates import similar
from services.trainer.domain.selection import Selection


@dataclass(frozen=True, slots=True)
class Likeness:
    """Compares by the selection's thresholds; products by their listings."""

    listings: Mapping[str, Listing]
    selection: Selection

    def couple(self, query: str, product_id: str) -> tuple[str, str]:
        """Return what two pairs have in common that plainly say the same."""
        return canonical(query), self.listings[product_id].key

    def queries(self, ours: Iterable[str], theirs: Iterable[str]) -> set[str]:
        """Return those of `ours` that ask nearly what one of `theirs` asks: by trigrams of their forms."""
        return similar(_forms(ours), _forms(theirs), self.selection.similar_query)

    def products(self, ours: Iterable[str], theirs: Iterable[str]) -> set[str]:
        """Return those of `ours` that carry a number or the key of one of `theirs`, or nearly its title."""
        mine = {product_id: self.listings[product_id] for product_id in ours}
        others = {product_id: self.listings[product_id] for product_id in theirs}
        keys = {it.key for it in others.values()}
        codes = frozenset(code for it in others.values() for code in it.codes)
        same = {name for name, it in mine.items() if it.key in keys or not codes.isdisjoint(it.codes)}
        titles = {name: it.words for name, it in mine.items() if name not in same}
        others_titles = {name: it.words for name, it in others.items()}
        return same | similar(titles, others_titles, self.selection.similar_product)


def _forms(queries: Iterable[str]) -> dict[str, frozenset[str]]:
    return {query: trigrams(canonical(query)) for query in queries}
