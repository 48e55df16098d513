"""What a data set needs of a product of the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.base import FieldValue
from services.trainer.dataset.domain.dataset import ProductText
from services.trainer.dataset.domain.selection import DatasetSelection
from shared.catalogue.product_identity import ProductIdentity, first_text, values_of
from shared.catalogue.texts import build_text

Fields = Mapping[str, FieldValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """A product as text, and what tells that it is the same as another.

    `key` decides the side it is on: that of its identity, as its first version had it. A title that is
    rewritten later does not move it.
    """

    product: ProductText
    key: str
    identity: ProductIdentity
    language: str
    category: str
    prefixes: tuple[str, ...]

    @classmethod
    def of(
        cls, product_id: str, fields: Fields, selection: DatasetSelection, *, key: str
    ) -> "CatalogueEntry":
        """Return the entry of a product that has these attributes now."""
        return cls(
            product=ProductText(
                product_id=product_id,
                text=build_text(fields, selection.text),
                fields=texts_of(fields),
            ),
            key=key,
            identity=identity_of(fields, selection),
            language=first_text(fields.get(selection.language)),
            category=first_text(fields.get(selection.category)),
            prefixes=tuple(prefix for name in selection.prefixes if (prefix := first_text(fields.get(name)))),
        )


def identity_of(fields: Fields, selection: DatasetSelection) -> ProductIdentity:
    """Return the identity of a product by the attributes that the selection names."""
    return ProductIdentity.of(fields, titles=selection.titles, codes=selection.codes)


def key_of(product_id: str, fields: Fields, selection: DatasetSelection) -> str:
    """Return what decides the side of a product whose first version has these attributes."""
    return identity_of(fields, selection).key(product_id)


def texts_of(fields: Fields) -> dict[str, str]:
    """Return the attributes that have a text, by name."""
    return {name: text for name in sorted(fields) if (text := _text(fields[name]))}


def _text(value: FieldValue) -> str:
    """Return an attribute as text; numbers and truth values have none."""
    return build_text({"value": value}, ["value"]) if any(map(_is_text, values_of(value))) else ""


def _is_text(value: object) -> bool:
    return isinstance(value, str)
