"""What was found in a product's data: attributes that could not be taken from a message."""

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.base import Coordinates, Message, ProductId, Timestamp, Value

MOST = 100


class Finding(Value):
    """An attribute that was left out: `reason` is a stable code, `explanation` says what to do."""

    attribute: str
    reason: str
    explanation: str = ""


class CatalogueFindings(Message):
    """What one message says that could not be taken; the rest of it counts.

    `total` counts all findings, of which the first 100 are named.
    """

    topic: ClassVar[str] = "catalogue.findings.v1"

    product_id: ProductId
    source: Coordinates
    findings: Annotated[tuple[Finding, ...], Field(min_length=1, max_length=MOST)]
    total: Annotated[int, Field(ge=1)]
    time: Timestamp
    """When the message was written."""

    def key(self) -> bytes:
        """Return the product id."""
        return self.product_id.encode()
