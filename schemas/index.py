"""Index records: the durable truth of one generation of the index."""

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.base import Coordinates, Fingerprint, Message, ProductId, Timestamp, Value
from schemas.catalogue import Document


class Passage(Value):
    """A piece of the embedded text: characters `start` to `end`, and the row of its vector."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]


class IndexRecord(Message):
    """One product, complete: merged document, passages and their vectors, and where it came from.

    `vectors` holds `len(passages) x dimensions` little-endian float16 values, row by row (base64url in
    JSON), each row of unit length. A deleted product keeps its record, without passages, so that the
    version of its delete outlives compaction. `source` is the last change merged in; with `epoch` (the
    embedder's lease on that partition) it orders two records of one product.
    """

    topic: ClassVar[str] = "index.records"

    product_id: ProductId
    document: Document
    text: str = ""
    content_hash: str = ""
    fingerprint: Fingerprint
    dimensions: Annotated[int, Field(ge=1, le=8192)]
    passages: tuple[Passage, ...] = ()
    vectors: bytes = b""
    source: Coordinates
    epoch: Annotated[int, Field(ge=0)]
    event_time: Timestamp
    """When the change was made; freshness counts from here."""

    def key(self) -> bytes:
        """Return the product id."""
        return self.product_id.encode()

    @property
    def deleted(self) -> bool:
        """Whether this record takes the product out of the index."""
        return not self.document.exists
