"""What tells that two products are the same one: trade item numbers, and the title.

Mining and training ask the same question: a duplicate of a right product is no negative, and a duplicate
of a product that is held out is not learned from. So there is one answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from schemas.base import FieldValue
from shared.catalogue.near_duplicates import jaccard, similar
from shared.catalogue.words import canonical, words_of

TITLES = ("title", "name", "product_title")
"""Attributes that may hold the title: the first with a value does."""
CODES = ("gtin", "gtin8", "gtin12", "gtin13", "gtin14", "ean", "ean13", "upc", "isbn", "barcode")
"""Attributes that may hold trade item numbers."""
OVERLAP = 0.85
"""Jaccard similarity of two titles' words from which on they are the same product."""
SHORTEST_CODE = 8

Fields = Mapping[str, FieldValue]


@dataclass(frozen=True, slots=True)
class ProductIdentity:
    """A product's title in canonical form, its words, and its trade item numbers; any may be empty."""

    title: str = ""
    words: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()

    @classmethod
    def of(cls, fields: Fields, *, titles: Sequence[str] = TITLES, codes: Sequence[str] = CODES) -> Self:
        """Return the identity of a product that has these attributes."""
        title = title_of(fields, titles)
        return cls(canonical(title), frozenset(words_of(title)), frozenset(_codes(fields, codes)))

    def has_code_of(self, other: "ProductIdentity") -> bool:
        """Whether both carry the same trade item number."""
        return not self.codes.isdisjoint(other.codes)

    def has_title_of(self, other: "ProductIdentity", overlap: float = OVERLAP) -> bool:
        """Whether the titles are equal in canonical form, or share `overlap` of their words (Jaccard)."""
        if not self.words or not other.words:
            return False
        return self.title == other.title or jaccard(self.words, other.words) >= overlap

    def is_same(self, other: "ProductIdentity", overlap: float = OVERLAP) -> bool:
        """Whether they are the same product, as far as number and title tell."""
        return self.has_code_of(other) or self.has_title_of(other, overlap)

    def key(self, product_id: str) -> str:
        """Return the lowest trade item number, else the canonical title, else the id.

        Products are held out by it, for ever (`tests/data/text_forms.json`).
        """
        code = min(self.codes, default="")
        return f"code {code}" if code else f"title {self.title or product_id}"


UNIDENTIFIED = ProductIdentity()
"""Of a product of which nothing is known: it is the same as no other, not even as another such one."""


def same_products(
    left: Mapping[str, ProductIdentity], right: Mapping[str, ProductIdentity], overlap: float = OVERLAP
) -> set[str]:
    """Return those of `left` that are the same product as one of `right`: exact, and not all with all."""
    codes = frozenset(code for identity in right.values() for code in identity.codes)
    titles = {identity.title for identity in right.values()} - {""}
    same = {
        product_id
        for product_id, identity in left.items()
        if identity.title in titles or not codes.isdisjoint(identity.codes)
    }
    words = {product_id: identity.words for product_id, identity in left.items() if product_id not in same}
    return same | similar(words, {name: identity.words for name, identity in right.items()}, overlap)


def title_of(fields: Fields, titles: Sequence[str] = TITLES) -> str:
    """Return a product's title, empty when it has none."""
    return next((title for name in titles if (title := first_text(fields.get(name)))), "")


def first_text(value: FieldValue) -> str:
    """Return an attribute as text, of a list the first value that is not blank; empty when there is none."""
    return next((text for item in values_of(value) if (text := str(item).strip())), "")


def values_of(value: Any) -> list[Any]:  # Any: an attribute's value, as JSON has it
    """Return the values of an attribute: of a list each, of nothing none."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _codes(fields: Fields, names: Sequence[str]) -> Iterator[str]:
    """Yield GTINs without leading zeros and separators (GTIN-8 to GTIN-14 and UPC are one scale)."""
    for name in names:
        for value in values_of(fields.get(name)):
            text = "".join(letter for letter in str(value).upper() if letter.isascii() and letter.isalnum())
            if len(text) >= SHORTEST_CODE and text.lstrip("0"):
                yield text.lstrip("0")
