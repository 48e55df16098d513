"""What is remembered of a product, and how it is written down."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from schemas.catalogue import Appended, Document, Revision
from schemas.index import Passage
from shared.catalogue.documents import EMPTY


@dataclass(frozen=True, slots=True)
class Embedding:
    """The vectors of a text: little-endian float16 rows, one a passage, made by one model."""

    content_hash: str = ""
    fingerprint: str = ""
    passages: tuple[Passage, ...] = ()
    vectors: bytes = b""

    def serves(self, content_hash: str, fingerprint: str) -> bool:
        """Whether this is what embedding that text with that model would give."""
        return self.content_hash == content_hash and self.fingerprint == fingerprint


NOTHING = Embedding()


@dataclass(frozen=True, slots=True)
class StoredProduct:
    """A product as stored: its document and its vectors."""

    document: Document = EMPTY
    embedding: Embedding = field(default=NOTHING)


UNKNOWN = StoredProduct()


def pack_document(document: Document) -> bytes:
    """Return the document as compact JSON."""
    revisions = [
        [
            revision.line,
            revision.version,
            tuple(revision.appended),
            revision.digest,
            revision.partial,
            revision.op,
            revision.fields,
            revision.replaces,
            revision.kept,
            *((revision.timeline,) if revision.timeline else ()),  # as it was before there were any
        ]
        for revision in document.revisions
    ]
    return orjson.dumps([document.fields, revisions, document.base, document.owners])


def unpack_document(packed: bytes | None) -> Document:
    """Return what `pack_document` was given; `EMPTY` for nothing."""
    if packed is None:
        return EMPTY
    fields, revisions, base, owners = orjson.loads(packed)
    return Document.model_construct(
        fields=_fields(fields), revisions=tuple(map(_revision, revisions)), base=base, owners=owners
    )


def _revision(packed: list[Any]) -> Revision:  # Any: JSON
    line, version, appended, digest, partial, op, fields, replaces, kept, *timeline = packed
    return Revision.model_construct(
        line=line,
        version=tuple(version),
        appended=Appended(*appended),
        digest=digest,
        partial=partial,
        timeline=timeline[0] if timeline else 0,
        op=op,
        fields=_fields(fields),
        replaces=tuple(replaces),
        kept=tuple(kept),
    )


def _fields(
    fields: dict[str, Any],
) -> dict[str, Any]:  # Any: JSON; lists became tuples when they were decoded
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def pack_embedding(embedding: Embedding) -> bytes:
    """Return a line of JSON and the vectors as they are."""
    head = [
        embedding.content_hash,
        embedding.fingerprint,
        [[passage.start, passage.end] for passage in embedding.passages],
    ]
    return orjson.dumps(head) + b"\n" + embedding.vectors


def unpack_embedding(packed: bytes | None) -> Embedding:
    """Return what `pack_embedding` was given; `NOTHING` for nothing."""
    if packed is None:
        return NOTHING
    head, _, vectors = packed.partition(b"\n")
    content_hash, fingerprint, spans = orjson.loads(head)
    return Embedding(content_hash, fingerprint, passages_of(spans), vectors)


def passages_of(spans: list[list[int]] | list[tuple[int, int]]) -> tuple[Passage, ...]:
    """Return passages from (start, end) pairs."""
    return tuple(_passage(start, end) for start, end in spans)


@lru_cache(maxsize=8192)  # frozen, and most are among a few lengths
def _passage(start: int, end: int) -> Passage:
    return Passage.model_construct(start=start, end=end)
