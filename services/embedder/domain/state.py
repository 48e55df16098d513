"""What is remembered of a product, and how it is written down."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from schemas.catalogue import Document
from schemas.index import Passage
from shared.documents import EMPTY


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
class Product:
    """A product as stored: its document and its vectors."""

    document: Document = EMPTY
    embedding: Embedding = field(default=NOTHING)


UNKNOWN = Product()


def pack_document(document: Document) -> bytes:
    """Return the document as compact JSON."""
    moment = document.event_time
    values = [
        {name: [document.versions[name], value] for name, value in document.fields.items()},
        document.upserted,
        document.deleted,
        None if moment is None else moment.isoformat(),
    ]
    return orjson.dumps(values)


def unpack_document(packed: bytes | None) -> Document:
    """Return what `pack_document` was given; `EMPTY` for nothing."""
    if packed is None:
        return EMPTY
    entries, upserted, deleted, moment = orjson.loads(packed)
    return Document.model_construct(
        fields={name: _value(value) for name, (_, value) in entries.items()},
        versions={name: version for name, (version, _) in entries.items()},
        upserted=upserted,
        deleted=deleted,
        event_time=None if moment is None else datetime.fromisoformat(moment),
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


def _value(value: Any) -> Any:  # Any: JSON to a field value; lists became tuples when they were decoded
    return tuple(value) if isinstance(value, list) else value
