"""Index records: the durable truth of one generation of the index."""

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from schemas.base import (
    EPOCH,
    MILLISECOND,
    Coordinates,
    Fingerprint,
    Message,
    ProductId,
    Timestamp,
    Value,
)
from schemas.catalogue import UNSTATED, Document

Language = Annotated[str, StringConstraints(pattern=r"^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7})?$")]
"""A language tag (BCP 47) such as `de` or `zh-Hant`; empty: nobody can tell."""


class Passage(Value):
    """A piece of the embedded text: characters `start` to `end`, and the row of its vector."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]


class IndexRecord(Message):
    """One product, complete: merged document, passages and their vectors, and where it came from.

    `vectors` holds `len(passages) x dimensions` little-endian float16 values, row by row (base64url in
    JSON), each row of unit length. A deleted product keeps its record, without passages, so that the
    version of its delete outlives compaction. `source` is where the last change lay that was merged in.
    Of two records of one product that of the lower `epoch` (of the product's home) counts for nothing, and of
    one epoch the later in the log counts.
    """

    topic: ClassVar[str] = "index.records"

    product_id: ProductId
    document: Document
    text: str = ""
    language: Language = ""
    """That of the text."""
    content_hash: str = ""
    fingerprint: Fingerprint
    dimensions: Annotated[int, Field(ge=1, le=8192)]
    passages: tuple[Passage, ...] = ()
    vectors: bytes = b""
    source: Coordinates
    epoch: Annotated[int, Field(ge=0)]
    event_time: Timestamp
    """When the change was made, as its producer says; freshness counts from here."""

    def key(self) -> bytes:
        """Return the product id."""
        return self.product_id.encode()

    @property
    def appended_at(self) -> datetime | None:
        """When the broker appended the last change that was merged in; None: that is not known."""
        appended = [revision.appended for revision in self.document.revisions]
        place = (self.source.partition, self.source.offset)
        of_source = [one for one in appended if (one.partition, one.offset) == place]
        milliseconds = max(of_source or appended, default=UNSTATED).milliseconds
        try:
            return EPOCH + milliseconds * MILLISECOND if milliseconds else None
        except OverflowError:  # no calendar goes there
            return None

    @property
    def deleted(self) -> bool:
        """Whether this record takes the product out of the index."""
        return not self.document.exists
