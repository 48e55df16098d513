"""Which split a pair belongs to: decided by hashing, once and for ever.

A query's side depends on nothing but its canonical form and the salt, a product's on nothing but its key
and the salt. So it is known when the first event arrives, is the same in every data set, and never
changes as data grow. Two queries of one canonical form are on one side for ever. Two that are only
similar may lie on two sides: then the one to learn from is left out (`assembly`), never the one to be
judged by, so that models are judged by the same queries as data grow.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from services.trainer.dataset.domain.dataset import Split
from services.trainer.dataset.domain.selection import DatasetSelection

Side = Literal["known", "validation", "held_out"]


@dataclass(frozen=True, slots=True)
class Splitter:
    """Says where queries, products and pairs belong."""

    selection: DatasetSelection

    def side_of_query(self, form: str) -> Side:
        """Return the side of all queries with this canonical form."""
        place = self._place("query", form)
        if place < self.selection.novel_query:
            return "held_out"
        at = self.selection.novel_query + self.selection.validation
        return "validation" if place < at else "known"

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
