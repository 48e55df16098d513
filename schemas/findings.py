"""What was found in a product's data: what could not be taken from a message, and what its text is like."""

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.base import Coordinates, Message, ProductId, Timestamp, Value

MOST = 100
TEXT = "embedder.text"
"""What stands for an attribute where a finding is about the text that is embedded."""


class Finding(Value):
    """An attribute, or the text: `reason` is a stable code, `explanation` says what to do."""

    attribute: str
    reason: str
    explanation: str = ""
    other: ProductId | None = None
    """The product that has the same text, or nearly."""
    similarity: Annotated[float, Field(ge=0, le=1)] | None = None
    """What share of the words of both texts is in both."""


class CatalogueFindings(Message):
    """What was found in one message, or in the text of its product; the rest of it counts.

    `total` counts all findings, of which the first 100 are named. A text's findings are said when it is
    embedded: with its `content_hash`, and the generation whose model reads it.
    """

    topic: ClassVar[str] = "catalogue.findings.v1"

    product_id: ProductId
    source: Coordinates
    findings: Annotated[tuple[Finding, ...], Field(min_length=1, max_length=MOST)]
    total: Annotated[int, Field(ge=1)]
    time: Timestamp
    """When the message was written; of a text, when its last change was made."""
    generation: str = ""
    content_hash: str = ""

    def key(self) -> bytes:
        """Return the product id."""
        return self.product_id.encode()
