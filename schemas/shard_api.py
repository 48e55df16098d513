"""What the search service asks the shards, and what they answer: HTTP between our own processes.

Both sides use these classes. Every key is on the wire, null where there is nothing to say, in questions as
in answers: a key that is missing, because the other side calls it otherwise, is an error and never a
default. One that the reader does not know is ignored, so that the two may be upgraded one after the other.

`ShardHit`, `PartitionAnswer` and `ShardQueryAnswer` are dataclasses and not models: there are some fifty
hits in every answer of every shard, and a shard need not check what it has made itself. A hit is not frozen
because to make a frozen one takes three times as long; nobody changes one all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter

from schemas.base import Fingerprint, GenerationName, Offset, ProductId, Score, Value
from schemas.fields import FieldKind, FieldSummary
from schemas.filters import MAX_FILTERS, Filter
from schemas.search_api import Count, IndexedProduct, Mode, ProductExplanation

MAX_CANDIDATES = 10_000
"""Of one partition. The search API asks for at most one more than its own largest `k`; tools may ask more."""

ShardText = Annotated[str, Field(max_length=32_768)]


class ShardRequest(Value):
    """What every question says: of which generation."""

    generation: GenerationName


class ShardQuestion(ShardRequest):
    """A search: `vector` is base64 of little-endian float32, by the model of that fingerprint."""

    vector: str | None
    fingerprint: Fingerprint | None
    text: ShardText | None
    mode: Mode
    filters: Annotated[tuple[Filter, ...], Field(max_length=MAX_FILTERS)]


class ShardQueryRequest(ShardQuestion):
    """`POST /query`: search these partitions, each for its best `k` by vector and by words."""

    partitions: Annotated[tuple[int, ...], Field(max_length=1024)]
    k: Annotated[int, Field(ge=1, le=MAX_CANDIDATES)]
    exact: bool
    min_offsets: Mapping[int, Offset] | None
    """Wait until these offsets are searchable, by partition."""
    timeout_ms: Annotated[int, Field(ge=0, le=60_000)]
    """How long at most."""


class ExplainRequest(ShardQuestion):
    """`POST /explain`: why is a product where it is."""

    product_id: ProductId


class VectorRequest(ShardRequest):
    """`POST /similar`: the vector of a product, to search with."""

    product_id: ProductId


@dataclass(kw_only=True)
class ShardHit:
    """A candidate with its raw scores (null: not found that way) and where it lies."""

    product_id: str
    dense: Score | None
    lexical: Score | None
    passage: Count
    segment: str
    offset: Offset
    fields: Mapping[str, Any]  # Any: attribute values


@dataclass(frozen=True, kw_only=True)
class PartitionAnswer:
    """The candidates of one partition, and as of when: `next_offset` is the first that was not seen."""

    partition: Count
    epoch: Count
    next_offset: Offset
    fingerprint: Fingerprint | None
    documents: Count
    hits: list[ShardHit]
    kinds: Mapping[str, list[FieldKind]] | None
    """Where no product passes the filters: of what kinds the values of their fields are in this partition."""


@dataclass(frozen=True, kw_only=True)
class ShardQueryAnswer:
    """What `POST /query` answers: every partition that it named, or the whole question is refused."""

    partitions: list[PartitionAnswer]

    @classmethod
    def decode(cls, body: bytes) -> "ShardQueryAnswer":
        """Read an answer; raises `pydantic.ValidationError`, also for a key that is missing."""
        return _QUERY_ANSWER.validate_json(body)


class VectorAnswer(Value):
    """What `POST /similar` answers; the vector is coded as in a question."""

    product_id: ProductId
    vector: str
    fingerprint: Fingerprint | None


class PartitionFields(Value):
    """What `GET /fields` answers: the attributes of the products of one partition, by name."""

    partition: Count
    documents: Count
    fields: tuple[FieldSummary, ...]
    unnamed: Count
    """So many more there are; the ones that are named are filled more often."""


class ShardRefusal(Value):
    """Why a shard does not answer: a stable code, an explanation, and how far the shard is."""

    reason: str
    explanation: str
    partition: int | None
    next_offset: int | None
    wanted: int | None


_QUERY_ANSWER = TypeAdapter(ShardQueryAnswer)

CONTRACTS: tuple[type[BaseModel] | type[ShardQueryAnswer], ...] = (
    ShardQueryRequest,
    ExplainRequest,
    VectorRequest,
    ShardQueryAnswer,
    ProductExplanation,
    VectorAnswer,
    IndexedProduct,
    PartitionFields,
    ShardRefusal,
)
"""What goes over the wire as a whole; each has a golden sample `shard_api.NAME.json`."""
