"""What is remembered of a product, and how it is written down."""

from functools import lru_cache
from typing import Any

import msgspec
import orjson

from schemas.catalogue import Appended, Document, Revision
from schemas.index import Passage
from shared.catalogue.documents import EMPTY, fields_of


class Embedding(msgspec.Struct, frozen=True, gc=False):
    """The vectors of a text: little-endian float16 rows, one a passage, made by one model."""

    content_hash: str = ""
    fingerprint: str = ""
    passages: tuple[Passage, ...] = ()
    vectors: bytes = b""
    read: bool = True
    """Whether passages and vectors are here, or only what tells which they are."""

    def serves(self, content_hash: str, fingerprint: str) -> bool:
        """Whether this is what embedding that text with that model would give."""
        return self.content_hash == content_hash and self.fingerprint == fingerprint


NOTHING = Embedding()


Places = frozenset[int]


class StoredProduct(msgspec.Struct, frozen=True, gc=False):
    """A product as stored: its document and its vectors, and what of it its index record has."""

    document: Document = EMPTY
    embedding: Embedding = NOTHING
    whole: Places | None = None
    """The places of those revisions of the document that its index record has; None: not known."""

    @property
    def has_attributes(self) -> bool:
        """Whether an attribute record was written since its index record."""
        return self.whole is not None and len(self.whole) < len(self.document.revisions)


def every_place(document: Document) -> Places:
    """Return the places of all revisions."""
    return frozenset(range(len(document.revisions)))


UNKNOWN = StoredProduct()
_JSON = b"["
"""What earlier versions began with."""


class _Packed(msgspec.Struct, array_like=True, gc=False):
    """A product as it is written down, but for its vectors."""

    document: Document
    whole: tuple[int, ...] | None
    content_hash: str
    fingerprint: str


_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_Packed)


def pack_product(product: StoredProduct) -> bytes:
    """Return all of a product but its vectors, as msgpack."""
    whole = None if product.whole is None else tuple(product.whole)
    embedding = product.embedding
    return _ENCODER.encode(_Packed(product.document, whole, embedding.content_hash, embedding.fingerprint))


def unpack_product(packed: bytes) -> StoredProduct:
    """Return what `pack_product` was given, its vectors not read, or what an earlier version wrote."""
    if packed.startswith(_JSON):
        return _of_json(packed)
    read = _DECODER.decode(packed)
    whole = None if read.whole is None else frozenset(read.whole)
    embedding = Embedding(read.content_hash, read.fingerprint, read=not read.content_hash)
    return StoredProduct(read.document, embedding, whole)


def _of_json(packed: bytes) -> StoredProduct:
    """Return a product as JSON had it; at first that did not say which vectors, nor what its record has."""
    fields, revisions, base, owners, *rest = orjson.loads(packed)
    whole, content_hash, fingerprint = rest or (None, "", "")
    return StoredProduct(
        Document(fields_of(fields), tuple(map(_revision, revisions)), base, owners),
        Embedding(content_hash, fingerprint, read=bool(rest) and not content_hash),
        None if whole is None else frozenset(whole),
    )


def _revision(packed: list[Any]) -> Revision:  # Any: JSON
    line, version, appended, digest, partial, op, fields, replaces, kept, *timeline = packed
    return Revision(
        line,
        tuple(version),
        Appended(*appended),
        digest,
        partial,
        timeline[0] if timeline else 0,
        op,
        fields_of(fields),
        tuple(replaces),
        tuple(kept),
    )


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
