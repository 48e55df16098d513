"""The search API: what may be asked of it, and what it answers.

`POST /search`, `POST /similar`, `GET /why`, `GET /product/{id}`, `GET /fields`, `POST /written`; whatever is
refused is a `Problem` (RFC 9457). In a request a name that does not exist is an error, so that a typing error
is noticed. In an answer every key is there, null where there is nothing to say: one that is missing is an
error to its reader, and one that its reader does not know is ignored.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AliasChoices, BaseModel, Field, model_validator

from schemas.api_parts import AnswerPart, RequestPart
from schemas.base import (
    Coordinates,
    Fingerprint,
    GenerationName,
    Identifier,
    Offset,
    ProductId,
    Score,
    Timestamp,
)
from schemas.catalogue import Operation
from schemas.fields import FieldsResponse
from schemas.filters import MAX_FILTERS, FieldName, Filter
from schemas.search import QueryId, UbiText

MAX_K = 1000
"""Hits of one answer."""
MAX_QUERY = 2048
MAX_TIMEOUT_MS = 30_000
PROBLEM_TYPE = "urn:headrace:problem:"
PROBLEM_MEDIA_TYPE = "application/problem+json"

Mode = Literal["dense", "lexical", "hybrid"]
"""By meaning, by words, or by both."""
QueryText = Annotated[str, Field(max_length=MAX_QUERY)]
Count = Annotated[int, Field(ge=0)]
Fields = Mapping[str, Any]
"""Attributes of a product by name; Any: what the catalogue has, see `schemas.base.FieldValue`."""


class Fusion(RequestPart):
    """How dense and lexical scores become one.

    `weighted`: scores scaled to 0 .. 1 over the candidates, then `dense_weight` of the one and the rest of
    the other. `rrf`: reciprocal ranks (Cormack et al. 2009, k = 60), with the same weights.
    """

    method: Literal["weighted", "rrf"] = "weighted"
    dense_weight: Annotated[float, Field(ge=0, le=1)] = 0.5


class _AnyRequest(RequestPart):
    """What every kind of search may say."""

    k: Annotated[int, Field(ge=1, le=MAX_K)] = 10
    filters: Annotated[tuple[Filter, ...], Field(max_length=MAX_FILTERS)] = ()
    generation: GenerationName | None = None
    exact: bool = False
    """Scan every vector instead of the index."""
    min_offsets: dict[Count, Offset] | None = None
    """{partition of index.records: offset} that the answer must have seen."""
    written: Annotated[dict[Count, Offset], Field(min_length=1, max_length=MAX_K)] | None = None
    """{partition of catalogue.changes: the offset behind what was written there} that the answer must have
    seen: waits as `POST /written` does, for most of `timeout_ms`, and is 504 when that is not enough."""
    timeout_ms: Annotated[int, Field(ge=1, le=MAX_TIMEOUT_MS)] | None = None
    fields: Annotated[tuple[FieldName, ...], Field(max_length=100)] | None = None
    """Attributes to return with each hit; absent: all."""


class SearchRequest(_AnyRequest):
    """`POST /search`. The text may also be named `query` or, as in UBI, `user_query`."""

    renamed: ClassVar[Mapping[str, str]] = {"last_stage": "reranker"}

    text: Annotated[QueryText, Field(validation_alias=AliasChoices("text", "query", "user_query"))]
    mode: Mode = "hybrid"
    fusion: Fusion | None = None
    reranker: bool = True
    """Whether the best hits of a hybrid search are read once more, where a reranker is configured."""
    query_id: QueryId | None = None
    """Of the caller's own making; absent: one is made. Asked again with a larger `k` for further pages, it
    goes on with the same list, also during a trial."""
    application: UbiText | None = None
    session_id: UbiText | None = None
    client_id: UbiText | None = None
    user_id: UbiText | None = None
    log: bool = True
    """Whether the answer goes to search.queries; no for probes that no shopper sees."""


class SimilarRequest(_AnyRequest):
    """`POST /similar`: products near a given one, or near a text such as its title."""

    product_id: ProductId | None = None
    text: QueryText | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.product_id is None) == (not (self.text or "").strip()):
            raise ValueError("give either `product_id` or `text`")
        return self


class SearchableRequest(RequestPart):
    """`POST /written`: wait until what was written to the catalogue's changes is in every answer."""

    offsets: Annotated[dict[Count, Offset], Field(min_length=1, max_length=MAX_K)]
    """{partition of catalogue.changes: the offset behind what was written there}."""
    generation: GenerationName | None = None
    """Absent: the live one."""
    timeout_ms: Annotated[int, Field(ge=1, le=MAX_TIMEOUT_MS)] | None = None


class PartitionReport(AnswerPart):
    """What became of one partition of the index in an answer."""

    partition: Count
    answered: bool
    owner: str | None
    """Who answered for it."""
    epoch: int | None
    """The owner's fencing token."""
    next_offset: int | None
    """The first offset of index.records that it had not seen."""
    reason: str | None
    """Why it is missing from the answer."""


class HitScores(AnswerPart):
    """The raw scores of a hit; null where it was not found, or not read, that way."""

    dense: Score | None
    """Cosine of its best passage with the query."""
    lexical: Score | None
    """BM25."""
    reranker: Score | None
    """What the reranker's model gave it."""


class HitProvenance(AnswerPart):
    """Where in the index a hit lies: enough to find its record in `index.records`."""

    generation: GenerationName
    partition: Count
    segment: str
    offset: Offset
    epoch: Count
    passage: Count
    """The passage of its text that is nearest."""


class SearchHit(AnswerPart):
    """One product of an answer; `rank` counts from 1."""

    rank: Annotated[int, Field(ge=1)]
    product_id: ProductId
    score: Score
    """What it is ranked by in its generation."""
    team: Literal["A", "B"] | None
    """During a trial, who drafted it: A the live generation, B the candidate; null: nothing was drafted."""
    scores: HitScores
    provenance: HitProvenance
    fields: Fields


class SearchResponse(AnswerPart):
    """What `POST /search` and `POST /similar` answer: hits, best first, and what they are made of."""

    query_id: str
    """Joins the answer with the shopper's events."""
    trial: Identifier | None
    """The trial that the answer takes part in; null: none."""
    generation: GenerationName
    fingerprint: Fingerprint | None
    """Of the model that embedded the query; null: by words alone."""
    mode: Mode
    took_ms: Annotated[float, Field(ge=0)]
    partial: bool
    """Whether a partition is missing."""
    weak: bool | None
    """Whether not even the most similar hit is right; null: there is nothing to tell it by."""
    reranker: str | None
    """What became of the reranker: applied, late, busy or failed; null: it was not asked."""
    partitions: tuple[PartitionReport, ...]
    hits: tuple[SearchHit, ...]


class ScoreAndRank(AnswerPart):
    """Where a product stands in one kind of search of its shard; the rank counts from 1, null: not found."""

    score: Score | None
    rank: Annotated[int, Field(ge=1)] | None


class ProductExplanation(AnswerPart):
    """What a product's shard says of it and of a query: exact scores, ranks, and what excludes it."""

    product_id: ProductId
    partition: Count
    documents: Count
    """Products of the shard."""
    segment: str
    offset: Offset
    dense: ScoreAndRank
    lexical: ScoreAndRank
    excluded_by: tuple[Filter, ...]
    """The filters that it does not pass."""


class WhyResponse(AnswerPart):
    """What `GET /why` answers: the rank, or the absence, of a product, and the reasons in words."""

    query: str
    product_id: ProductId
    generation: GenerationName
    mode: Mode
    partial: bool
    rank: Annotated[int, Field(ge=1)] | None
    score: Score | None
    shard: ProductExplanation | None
    """null: no live product has that id."""
    reasons: tuple[str, ...]


class ProductRevision(AnswerPart):
    """A change of a product that still counts, and the visible fields that it gave."""

    line: str
    """The kind of its version; of one kind the higher version counts, of two the one appended last."""
    version: tuple[int, ...]
    appended: tuple[int, int, int]
    """When and where the broker appended it: milliseconds since 1970, partition, offset."""
    op: Operation
    fields: tuple[str, ...]


class IndexedProduct(AnswerPart):
    """A product as a shard has it: the merged document, and what its vectors were made from."""

    product_id: ProductId
    fields: Fields
    revisions: tuple[ProductRevision, ...]
    """The changes that it is the merge of; none: it was indexed by an earlier release."""
    content_hash: str
    vectors_sha256: str
    passages: tuple[tuple[Count, Count], ...]
    """Characters of its text, from and to."""
    source: Coordinates
    """The last change merged in."""
    event_time: Timestamp
    partition: Count
    segment: str
    offset: Offset
    fingerprint: Fingerprint | None


class ProductResponse(IndexedProduct):
    """What `GET /product/{id}` answers."""

    generation: GenerationName
    epoch: Count
    """The fencing token of the shard's owner."""


class SearchableResponse(AnswerPart):
    """What `POST /written` answers: whether what lies below the offsets is found from now on."""

    generation: GenerationName
    searchable: bool
    """false: it was not within the time limit; ask again."""
    waiting_for: str | None
    """What it still waited for then."""
    partitions: Count
    """Of the index. Offsets speak for a writer that chose among as many by murmur2 of the key."""
    min_offsets: dict[Count, Offset]
    """Where in the index it lies: for a search that must have seen it. Empty: not known yet."""


class RequestFault(AnswerPart):
    """One fault of a request: in which field, and what is wrong."""

    where: str
    what: str


def _is_none(value: object) -> bool:
    return value is None


class Problem(AnswerPart):
    """Why a request was not answered (RFC 9457), and what to do; `title` is a stable code."""

    type: str
    """A URN that ends with the code."""
    title: str
    """The code."""
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    fix: str
    errors: Annotated[tuple[RequestFault, ...] | None, Field(exclude_if=_is_none)] = None
    """Every fault of a request that does not fit."""


CONTRACTS: tuple[type[BaseModel], ...] = (
    SearchRequest,
    SimilarRequest,
    SearchableRequest,
    SearchResponse,
    WhyResponse,
    ProductResponse,
    FieldsResponse,
    SearchableResponse,
    Problem,
)
"""What goes over the wire as a whole; each has a golden sample `search_api.NAME.json`."""
