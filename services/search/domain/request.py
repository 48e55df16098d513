"""What may be asked of the search API, and its limits."""

from typing import Annotated, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from schemas.base import GenerationName, Offset, ProductId
from schemas.filters import MAX_FILTERS, FieldName, Filter
from schemas.search import UbiText

MAX_K = 1000
MAX_QUERY = 2048
MAX_TIMEOUT_MS = 30_000

Mode = Literal["dense", "lexical", "hybrid"]
QueryText = Annotated[str, Field(max_length=MAX_QUERY)]


class Asked(BaseModel):
    """A part of a request; a name that does not exist is refused, so that a typing error is noticed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Fusion(Asked):
    """How dense and lexical scores become one.

    `weighted`: scores scaled to 0 .. 1 over the candidates, then `dense_weight` of the one and the rest of
    the other. `rrf`: reciprocal ranks (Cormack et al. 2009, k = 60), with the same weights.
    """

    method: Literal["weighted", "rrf"] = "weighted"
    dense_weight: Annotated[float, Field(ge=0, le=1)] = 0.5


class _Common(Asked):
    """What every kind of search may say."""

    k: Annotated[int, Field(ge=1, le=MAX_K)] = 10
    filters: Annotated[tuple[Filter, ...], Field(max_length=MAX_FILTERS)] = ()
    generation: GenerationName | None = None
    exact: bool = False
    """Scan every vector instead of the index."""
    min_offsets: dict[Annotated[int, Field(ge=0)], Offset] | None = None
    """`{partition of index.records: offset}` that the answer must have seen."""
    timeout_ms: Annotated[int, Field(ge=1, le=MAX_TIMEOUT_MS)] | None = None
    fields: Annotated[tuple[FieldName, ...], Field(max_length=100)] | None = None
    """Attributes to return with each hit; absent: all."""


class SearchRequest(_Common):
    """`POST /search`. The text may also be named `query` or, as in UBI, `user_query`."""

    text: Annotated[QueryText, Field(validation_alias=AliasChoices("text", "query", "user_query"))]
    mode: Mode = "hybrid"
    fusion: Fusion | None = None
    last_stage: bool = True
    """Whether the best hits of a hybrid search are read once more, where a last stage is configured."""
    application: UbiText | None = None
    session_id: UbiText | None = None
    client_id: UbiText | None = None
    user_id: UbiText | None = None
    log: bool = True
    """Whether the answer goes to `search.queries`; no for probes that no shopper sees."""


class SimilarRequest(_Common):
    """`POST /similar`: products near a given one, or near a text such as its title."""

    product_id: ProductId | None = None
    text: QueryText | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.product_id is None) == (not (self.text or "").strip()):
            raise ValueError("give either `product_id` or `text`")
        return self


def clean(text: str) -> str:
    """Return the query without control characters, its runs of white space made one blank."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
