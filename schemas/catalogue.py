"""Catalogue changes, and the document that they merge into."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from schemas.base import FieldValue, Message, ProductId, Timestamp, Value, Version


class ProductChange(Message):
    """One product was written whole, patched or deleted; `version` orders the writes of one product."""

    topic: ClassVar[str] = "catalogue.changes.v1"

    product_id: ProductId
    op: Literal["upsert", "patch", "delete"]
    version: Version
    event_time: Timestamp
    fields: Mapping[str, FieldValue] = {}

    def key(self) -> bytes:
        """Return the product id."""
        return self.product_id.encode()


class Document(Value):
    """A product as the merge of all its changes: a last-writer-wins map with versioned whole writes.

    `fields` and `versions` have the same names. `upserted` and `deleted` are the highest versions of a
    whole write and of a delete (-1: never). A product exists while `upserted > deleted`: a patch alone
    creates nothing, and a delete wins over a write of the same version.
    """

    fields: Mapping[str, FieldValue] = {}
    versions: Mapping[str, Version] = {}
    upserted: int = -1
    deleted: int = -1
    event_time: Timestamp | None = None

    @property
    def exists(self) -> bool:
        """Whether the product is in the catalogue."""
        return self.upserted > self.deleted
