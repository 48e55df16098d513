"""What search asks the shards in frames, and what they answer: msgpack between our own processes.

A question is for one process and all its partitions that are meant. Vectors and scores are the bytes of
little-endian numbers, and NaN is no score. Every array of an answer has an entry a candidate.
"""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from pydantic import TypeAdapter

from schemas.fields import FieldKind
from schemas.filters import MAX_FILTERS, Filter
from schemas.search_api import Mode
from schemas.shard_api import MAX_CANDIDATES

T = TypeVar("T")
Count = Annotated[int, Meta(ge=0)]
Partitions = Annotated[tuple[Count, ...], Meta(max_length=1024)]
Text = Annotated[str, Meta(max_length=32_768)]


class TermStatistics(msgspec.Struct, array_like=True, frozen=True):
    """What words are scored by: of all documents there are, and of each term of a text, in their order."""

    documents: Count
    title_terms: Count
    body_terms: Count
    frequencies: tuple[Count, ...]
    """In how many documents each term is."""


class StatisticsQuestion(msgspec.Struct, array_like=True, frozen=True):
    """Asks how often the words of a text are in these partitions; answered by `TermStatistics`."""

    generation: str
    partitions: Partitions
    text: Text


class CandidatesQuestion(msgspec.Struct, array_like=True, frozen=True):
    """Asks which products are nearest to a vector, and which have the words of a text."""

    generation: str
    partitions: Partitions
    mode: Mode
    k: Annotated[int, Meta(ge=1, le=MAX_CANDIDATES)]
    timeout_ms: Annotated[int, Meta(ge=0, le=60_000)]
    """How long to wait for `min_offsets`, at most."""
    exact: bool = False
    text: Text | None = None
    vector: bytes = b""
    """float32, by the model of that fingerprint; empty: none."""
    fingerprint: str | None = None
    filters: bytes = b""
    """As the search API has them, in JSON; empty: none."""
    min_offsets: dict[int, int] = {}
    """Wait until these offsets are searchable, by partition."""
    statistics: TermStatistics | None = None
    """Those of all partitions there are; None: of all that the process serves."""


class PartitionCandidates(msgspec.Struct, array_like=True, frozen=True):
    """The candidates of one partition, and as of when: `next_offset` is the first that was not seen."""

    partition: Count
    epoch: Count
    next_offset: Count
    fingerprint: str | None
    documents: Count
    kinds: dict[str, list[FieldKind]] | None
    """Where no product passes the filters: of what kinds the values of their fields are."""
    product_ids: tuple[str, ...]
    segments: tuple[str, ...]
    """Their names; `parts` says for each candidate which of them it is in."""
    parts: bytes
    """int32."""
    dense: bytes
    """float32."""
    lexical: bytes
    """float32."""
    passages: bytes
    """int64."""
    offsets: bytes
    """int64: of the product's last record."""


class ShardCandidates(msgspec.Struct, array_like=True, frozen=True):
    """What `CandidatesQuestion` is answered: every partition that it named, or it is refused as a whole."""

    partitions: tuple[PartitionCandidates, ...]


class DocumentsQuestion(msgspec.Struct, array_like=True, frozen=True):
    """Asks what these products say, by partition."""

    generation: str
    products: dict[int, tuple[str, ...]]


class Documents(msgspec.Struct, array_like=True, frozen=True):
    """The attributes of each product as JSON, in the order of the question; empty: it is gone."""

    products: dict[int, tuple[bytes, ...]]


_ENCODER = msgspec.msgpack.Encoder()
_FILTERS: TypeAdapter[tuple[Filter, ...]] = TypeAdapter(tuple[Filter, ...])


def pack(message: msgspec.Struct) -> bytes:
    """Return a message on the wire."""
    return _ENCODER.encode(message)


def unpack(body: bytes, kind: type[T]) -> T:
    """Read a message; raises `ValueError` with what is wrong."""
    return msgspec.msgpack.decode(body, type=kind)


def pack_filters(filters: tuple[Filter, ...]) -> bytes:
    """Return filters as a question has them."""
    return _FILTERS.dump_json(filters) if filters else b""


def unpack_filters(packed: bytes) -> tuple[Filter, ...]:
    """Read filters; raises `ValueError` with what is wrong."""
    filters = _FILTERS.validate_json(packed) if packed else ()
    if len(filters) > MAX_FILTERS:
        raise ValueError(f"{len(filters)} filters, of which there may be {MAX_FILTERS}")
    return filters


CONTRACTS = (
    StatisticsQuestion,
    TermStatistics,
    CandidatesQuestion,
    ShardCandidates,
    DocumentsQuestion,
    Documents,
)
"""What goes over the wire as a whole; each has a golden sample `shard_frames.NAME.msgpack`."""
