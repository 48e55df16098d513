"""Which split a pair belongs to: decided by hashing, once and for ever.

Whether a query may be learned from depends on nothing but its canonical form and the salt, a product's side
on nothing but its key and the salt. So it is known when the first event arrives, is the same in every data
set, and never changes as data grow. Of the queries that may not, most are held out to judge by, and some to
stop by; a log with few queries holds out more of them, so that there is something to judge by: that takes
from validation, never from what a model may have learned.

Two queries of one canonical form are on one side for ever. Two that are only similar may lie on two sides:
then the one to learn from is left out (`assembly`), never the one to be judged by, so that models are judged
by the same queries as data grow.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from math import nextafter
from typing import Literal

from services.trainer.dataset.domain.dataset import Split
from services.trainer.dataset.domain.selection import DatasetSelection

Side = Literal["known", "validation", "held_out"]


@dataclass(frozen=True, slots=True)
class Splitter:
    """Says where queries, products and pairs belong."""

    selection: DatasetSelection
    reserved: float = 0.0
    """Queries whose place lies below it are held out, if more than the share says."""

    def holding_out(self, forms: Iterable[str]) -> "Splitter":
        """Return one that holds out the wanted number of these queries (canonical forms, one a query).

        Held out are those with the lowest places: by the share and, where that gives too few, of validation.
        Where even all of validation is not enough, it is left as it is.
        """
        wanted = self.selection.novel_queries
        places = sorted(place for form in forms if (place := self._place("query", form)) < self._unlearned)
        if not 0 < wanted <= len(places):
            return self
        return replace(self, reserved=nextafter(places[wanted - 1], 1))

    def side_of_query(self, form: str) -> Side:
        """Return the side of all queries with this canonical form."""
        place = self._place("query", form)
        if place < max(self.selection.novel_query, self.reserved):
            return "held_out"
        return "validation" if place < self._unlearned else "known"

    @property
    def _unlearned(self) -> float:
        """Below it lie the queries that nothing is ever learned of."""
        return self.selection.novel_query + self.selection.validation

    def product_is_held_out(self, key: str) -> bool:
        """Whether the products with this key are held out."""
        return self._place("product", key) < self.selection.novel_product

    def split(self, form: str, key: str) -> Split | None:
        """Return the split of a query form and a product key; None: in validation, a held-out product."""
        side, held_out = self.side_of_query(form), self.product_is_held_out(key)
        if side == "validation":
            return None if held_out else "validation"
        if side == "held_out":
            return "zero_shot" if held_out else "novel_query"
        if held_out:
            return "novel_product"
        place = self._place("pair", f"{form}\t{key}")
        return "in_domain" if place < self.selection.in_domain else "train"

    def _place(self, kind: str, key: str) -> float:
        """Return where the key lies, evenly spread over 0 .. 1."""
        digest = sha256(f"{self.selection.salt}\t{kind}\t{key}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64
