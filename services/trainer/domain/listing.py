"""What a data set needs of a product of the catalogue."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.base import FieldValue
from services.trainer.domain.canonical import canonical, words_of
from services.trainer.domain.dataset import Product
from services.trainer.domain.selection import Selection
from shared.texts import build_text

SHORTEST_CODE = 8
Fields = Mapping[str, FieldValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A product as text, and what tells that it is the same as another.

    `key` decides the side it is on: the first trade item number, else the canonical title, else the id,
    as its first version had it. A title that is rewritten later does not move it.
    """

    product: Product
    key: str
    words: frozenset[str]
    codes: frozenset[str]
    language: str
    category: str
    prefixes: tuple[str, ...]

    @classmethod
    def of(cls, product_id: str, fields: Fields, by: Selection, *, key: str) -> "Listing":
        """Return the listing of a product that has these attributes now."""
        return cls(
            product=Product(
                product_id=product_id,
                text=build_text(fields, by.text),
                fields={name: shown for name in sorted(fields) if (shown := _text(fields, name))},
            ),
            key=key,
            words=frozenset(words_of(_title(fields, by))),
            codes=frozenset(_codes(fields, by)),
            language=_first(fields.get(by.language)),
            category=_first(fields.get(by.category)),
            prefixes=tuple(value for name in by.prefixes if (value := _first(fields.get(name)))),
        )


def key_of(product_id: str, fields: Fields, by: Selection) -> str:
    """Return what decides the side of a product whose first version has these attributes."""
    code = min(_codes(fields, by), default="")
    return f"code {code}" if code else f"title {canonical(_title(fields, by)) or product_id}"


def _title(fields: Fields, by: Selection) -> str:
    return next((value for name in by.titles if (value := _first(fields.get(name)))), "")


def _codes(fields: Fields, by: Selection) -> Iterator[str]:
    """Yield GTINs without leading zeros and separators (GTIN-8 to GTIN-14 and UPC are one scale)."""
    for name in by.codes:
        for value in _listed(fields.get(name)):
            text = "".join(letter for letter in str(value).upper() if letter.isascii() and letter.isalnum())
            if len(text) >= SHORTEST_CODE and text.lstrip("0"):
                yield text.lstrip("0")


def _text(fields: Fields, name: str) -> str:
    """Return a field as text; numbers and truth values have none."""
    values = _listed(fields[name])
    return build_text({"it": fields[name]}, ["it"]) if any(isinstance(it, str) for it in values) else ""


def _first(value: FieldValue) -> str:
    return next((shown for it in _listed(value) if (shown := str(it).strip())), "")


def _listed(value: Any) -> list[Any]:  # Any: an attribute's value
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
