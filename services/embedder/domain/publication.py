"""What is published of a product that changed: its index record, or only what that record does not say."""

import msgspec

from schemas.index import AttributeRecord
from services.embedder.domain.plan import EmbeddingRecipe, Planned
from services.embedder.domain.state import Places, every_place
from shared.catalogue.documents import beyond, carried


class Publication(msgspec.Struct, frozen=True, gc=False):
    """A planned product, and the places of the revisions that its index record has and will keep.

    `known` None: the index record is written anew, and says everything.
    """

    planned: Planned
    known: Places | None

    @property
    def ends_attributes(self) -> bool:
        """Whether there is an attribute record, which the index record makes superfluous."""
        return self.known is None and self.planned.touched.before.has_attributes

    @property
    def needs_vectors(self) -> bool:
        """Whether vectors that are kept must be read, to be written with the index record."""
        return self.known is None and self.planned.kept is not None and not self.planned.kept.read

    def places(self) -> Places:
        """Return the places of the revisions that the index record has when this is published."""
        return every_place(self.planned.touched.document) if self.known is None else self.known


def publication_of(planned: Planned) -> Publication:
    """Say what is written: where the text is as it was, what the index record does not have is enough.

    It must be known what that record has, and there must be one of a product that exists.
    """
    before = planned.touched.before
    if planned.kept is None or not planned.content_hash or before.whole is None:
        return Publication(planned, None)
    return Publication(planned, carried(before.document, before.whole, planned.touched.document))


def attribute_record(
    planned: Planned, known: Places, recipe: EmbeddingRecipe, *, epoch: int
) -> AttributeRecord:
    """Return the record that says of the product what its index record does not."""
    touched = planned.touched
    return AttributeRecord.unchecked(
        {
            "product_id": touched.product_id,
            "changes": beyond(touched.document, known),
            "content_hash": planned.content_hash,
            "fingerprint": recipe.fingerprint,
            "source": touched.source,
            "epoch": epoch,
            "event_time": touched.event_time,
        }
    )
