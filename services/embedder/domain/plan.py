"""From a batch of changes to what must be embedded, published and stored."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from schemas.base import Coordinates
from schemas.catalogue import Document, StampedChange
from schemas.index import IndexRecord
from services.embedder.domain.pace import cost
from services.embedder.domain.state import NOTHING, UNKNOWN, Embedding, StoredProduct, passages_of
from shared.catalogue.acceptances import NONE, Acceptances
from shared.catalogue.documents import admit, on_timelines
from shared.catalogue.language import Languages, unknown
from shared.catalogue.older import MergedChange
from shared.catalogue.texts import bounded_text
from shared.encoder.passages import Cut, PassageCutter, Passages, Span
from shared.records import Applied

HASH_DIGITS = 32
CUTTER = 2
"""The version of how texts are cut into several passages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRecipe:
    """How a product becomes vectors; with the text it makes the content hash."""

    templates: tuple[str, ...]
    cut: PassageCutter
    fingerprint: str
    dimensions: int
    language: Languages = unknown


class Touched(msgspec.Struct, frozen=True, gc=False):
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


class Planned(msgspec.Struct, frozen=True, gc=False):
    """What a touched product needs: the passages of `text` are embedded unless `kept` has their vectors."""

    touched: Touched
    text: str
    content_hash: str
    cut: Passages
    kept: Embedding | None
    left_out: int = 0
    """Bytes of the text that were too many."""

    @property
    def product_id(self) -> str:
        """Whose text it is."""
        return self.touched.product_id

    @property
    def passages(self) -> list[str]:
        """The texts to embed."""
        return [] if self.kept is not None else self.cut.texts(self.text)

    @property
    def characters(self) -> int:
        """How much text there is to embed, by what it costs."""
        return 0 if self.kept is not None else sum(cost(end - start) for start, end in self.cut.spans)

    def is_served_by(self, embedding: Embedding, fingerprint: str) -> bool:
        """Whether an embedding has the vectors of these passages, by that model."""
        serves = embedding.read and embedding.serves(self.content_hash, fingerprint)
        return serves and _spans(embedding) == self.cut.spans


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


def plan(touched: Touched, recipe: EmbeddingRecipe, *, anew: bool = False) -> Planned:
    """Say what is embedded; nothing when the text is as before (a price changed) or there is none.

    A text that an earlier version cut otherwise keeps its passages until it changes, unless it is cut `anew`:
    a new generation is all of one cut.
    """
    if not touched.document.exists:
        return Planned(touched, "", "", Passages(), NOTHING)
    before = touched.before.embedding
    text, left_out = bounded_text(touched.document.fields, recipe.templates)
    by_hash = before.fingerprint == recipe.fingerprint and not (anew and before.read)
    if by_hash and is_hash_of(before.content_hash, text, recipe.cut.how):
        return Planned(touched, text, before.content_hash, Passages(), before, left_out)
    passages = recipe.cut(text)
    content_hash = hash_content(text, recipe.cut.how, passages=len(passages.spans))
    planned = Planned(touched, text, content_hash, passages, None, left_out)
    return replace(planned, kept=before) if planned.is_served_by(before, recipe.fingerprint) else planned


def hash_content(text: str, how: Cut, *, passages: int = 1) -> str:
    """Return the content hash: texts of equal ones are cut and embedded alike by one model.

    A text of one passage has the hash that it always had. Of several, it names the way in which this version
    cuts; an earlier one cut otherwise, and did not say so.
    """
    limits = _limits(how, several=passages > 1)
    return sha256(limits + text.encode("utf-8", "replace")).hexdigest()[:HASH_DIGITS]


@lru_cache(maxsize=64)  # a process has one or two
def _limits(how: Cut, *, several: bool) -> bytes:
    way = f"{CUTTER}/" if several else ""
    return f"{way}{how.size}/{how.overlap}/{how.most}\n".encode()


def is_hash_of(content_hash: str, text: str, how: Cut) -> bool:
    """Whether the hash is that of a text, however many passages it has and whichever version cut it."""
    of_one = content_hash == hash_content(text, how)
    return of_one or content_hash == hash_content(text, how, passages=2)


def embedding_of(planned: Planned, vectors: bytes, fingerprint: str) -> Embedding:
    """Return the embedding that the product has now; `vectors` are those of `planned.passages`."""
    if planned.kept is not None:
        return planned.kept
    return Embedding(planned.content_hash, fingerprint, passages_of(list(planned.cut.spans)), vectors)


def _spans(embedding: Embedding) -> tuple[Span, ...]:
    return tuple((passage.start, passage.end) for passage in embedding.passages)


def index_record(
    planned: Planned, embedding: Embedding, recipe: EmbeddingRecipe, *, epoch: int
) -> IndexRecord:
    """Return the record that says everything about the product as it is now."""
    touched = planned.touched
    return IndexRecord.model_construct(
        product_id=touched.product_id,
        document=touched.document,
        text=planned.text,
        language=recipe.language(touched.document.fields, planned.text),
        content_hash=planned.content_hash,
        fingerprint=recipe.fingerprint,
        dimensions=recipe.dimensions,
        passages=embedding.passages,
        vectors=embedding.vectors,
        source=touched.source,
        epoch=epoch,
        event_time=touched.event_time,
    )
