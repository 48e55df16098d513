"""Changes, records and recipes as the embedder's decisions see them."""

from schemas.base import Coordinates
from schemas.catalogue import Document
from schemas.index import IndexRecord, Passage
from services.embedder.domain.plan import EmbeddingRecipe, Touched
from services.embedder.domain.state import NOTHING, Embedding, StoredProduct
from shared.encoder.passages import Cut, PassageCutter
from shared.testing.encoder import FakeEncoder
from tests.stamped import NOON, change
from tests.stamped import merged as document

TOPIC = "catalogue.changes.v1"
FINGERPRINT = "0123456789abcdef"
RECIPE = EmbeddingRecipe(
    templates=("{title}",),
    cut=PassageCutter(Cut(size=4, overlap=1, most=3), FakeEncoder().count_tokens, longest=100),
    fingerprint=FINGERPRINT,
    dimensions=2,
)


def place(offset: int, *, topic: str = TOPIC, partition: int = 0) -> Coordinates:
    return Coordinates(topic=topic, partition=partition, offset=offset)


def embedding(text_hash: str = "old", *, fingerprint: str = FINGERPRINT) -> Embedding:
    return Embedding(text_hash, fingerprint, (Passage(start=0, end=3),), b"\x00\x3c\x00\x00")


def touched(merged: Document, before: Embedding = NOTHING, offset: int = 7) -> Touched:
    return Touched("p", merged, StoredProduct(embedding=before), place(offset), NOON)


def record(
    offset: int,
    *,
    epoch: int = 1,
    product_id: str = "p",
    title: str = "lamp",
    topic: str = TOPIC,
    partition: int = 0,
) -> IndexRecord:
    return IndexRecord(
        product_id=product_id,
        document=document(change("upsert", offset, product_id, title=title)),
        text=title,
        content_hash=f"hash of {title}",
        fingerprint=FINGERPRINT,
        dimensions=2,
        passages=(Passage(start=0, end=len(title)),),
        vectors=b"\x00\x3c\x00\x00",
        source=place(offset, topic=topic, partition=partition),
        epoch=epoch,
        event_time=NOON,
    )
