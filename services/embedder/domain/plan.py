"""From a batch of changes to what must be embedded, published and stored."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from schemas.base import Coordinates
from schemas.catalogue import Document, StampedChange
from schemas.index import IndexRecord
from services.embedder.domain.state import NOTHING, UNKNOWN, Embedding, StoredProduct, passages_of
from shared.catalogue.acceptances import NONE, Acceptances
from shared.catalogue.documents import admit, on_timelines
from shared.catalogue.older import MergedChange
from shared.catalogue.texts import build_text
from shared.encoder.passages import Cut, cut
from shared.records import Applied

HASH_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRecipe:
    """How a product becomes vectors; with the text it makes the content hash."""

    templates: tuple[str, ...]
    cut: Cut
    fingerprint: str
    dimensions: int


@dataclass(frozen=True, slots=True)
class Touched:
    """A product that the batch changed, and the last change that did."""

    product_id: str
    document: Document
    before: StoredProduct
    source: Coordinates
    event_time: datetime

    @property
    def is_written(self) -> bool:
        """Whether anybody wrote or deleted the product: of patches alone nothing is published."""
        return self.document.base >= 0


@dataclass(frozen=True, slots=True)
class Merged:
    """A batch merged with what was stored: what it touched, and what became of each change."""

    touched: tuple[Touched, ...]
    changes: tuple[MergedChange, ...] = ()

    @property
    def applied(self) -> Applied:
        """How many changed their product, did nothing, and did nothing because they were older."""
        tally = Counter(merged.outcome for merged in self.changes)
        no_op = tally["repeated"] + tally["older"]
        return Applied(tally["applied"], no_op, older=tally["older"])


@dataclass(frozen=True, slots=True)
class Planned:
    """What a touched product needs: `spans` of `text` are embedded unless `kept` has their vectors."""

    touched: Touched
    text: str
    content_hash: str
    spans: tuple[tuple[int, int], ...]
    kept: Embedding | None

    @property
    def passages(self) -> list[str]:
        """The texts to embed."""
        return [] if self.kept is not None else [self.text[start:end] for start, end in self.spans]


def merge_batch(
    changes: Sequence[tuple[Coordinates, StampedChange]],
    stored: Mapping[str, StoredProduct],
    acceptances: Acceptances = NONE,
) -> Merged:
    """Merge the changes into the stored products, in order; both are put on the timelines that there are.

    Raises `PoisonError` when a change makes its product larger than a message may be.
    """
    touched: dict[str, Touched] = {}
    results = []
    for source, change in changes:
        before = stored.get(change.product_id, UNKNOWN)
        known = touched.get(change.product_id)
        document = on_timelines(before.document, acceptances) if known is None else known.document
        if known is None and document is not before.document:  # its record has them on other timelines
            before = replace(before, whole=None)
        merged, outcome = admit(document, change)
        results.append(MergedChange(source, change, outcome))
        if outcome != "applied" and (known is not None or merged is before.document):
            continue
        before = before if known is None else known.before
        touched[change.product_id] = Touched(change.product_id, merged, before, source, change.event_time)
    return Merged(tuple(touched.values()), tuple(results))


def plan(touched: Touched, recipe: EmbeddingRecipe) -> Planned:
    """Say what is embedded; nothing when the text is as before (a price changed) or there is none."""
    if not touched.document.exists:
        return Planned(touched, "", "", (), NOTHING)
    text = build_text(touched.document.fields, recipe.templates)
    content_hash = hash_content(text, recipe.cut)
    if touched.before.embedding.serves(content_hash, recipe.fingerprint):
        return Planned(touched, text, content_hash, (), touched.before.embedding)
    spans = tuple(cut(text, recipe.cut))
    return Planned(touched, text, content_hash, spans, None)


def hash_content(text: str, how: Cut) -> str:
    """Return the content hash: equal hashes are cut and embedded alike by one model."""
    prefix = f"{how.size}/{how.overlap}/{how.most}\n"
    return sha256((prefix + text).encode("utf-8", "replace")).hexdigest()[:HASH_DIGITS]


def embedding_of(planned: Planned, vectors: bytes, fingerprint: str) -> Embedding:
    """Return the embedding that the product has now; `vectors` are those of `planned.passages`."""
    if planned.kept is not None:
        return planned.kept
    return Embedding(planned.content_hash, fingerprint, passages_of(list(planned.spans)), vectors)


def index_record(
    planned: Planned, embedding: Embedding, recipe: EmbeddingRecipe, *, epoch: int
) -> IndexRecord:
    """Return the record that says everything about the product as it is now."""
    touched = planned.touched
    return IndexRecord.model_construct(
        product_id=touched.product_id,
        document=touched.document,
        text=planned.text,
        content_hash=planned.content_hash,
        fingerprint=recipe.fingerprint,
        dimensions=recipe.dimensions,
        passages=embedding.passages,
        vectors=embedding.vectors,
        source=touched.source,
        epoch=epoch,
        event_time=touched.event_time,
    )
