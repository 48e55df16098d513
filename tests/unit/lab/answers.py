"""Answers of the search API for what asks it: the golden samples with the products of a test."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from schemas.search_api import ProductResponse, ProductRevision, SearchResponse

GOLDEN = Path(__file__).parents[3] / "schemas" / "golden"
ANSWER = SearchResponse.model_validate_json((GOLDEN / "search_api.SearchResponse.json").read_bytes())
PRODUCT = ProductResponse.model_validate_json((GOLDEN / "search_api.ProductResponse.json").read_bytes())


def search_answer(
    products: Sequence[str],
    *,
    fields: Mapping[str, Mapping[str, object]] | None = None,
    missing: str = "",
    query_id: str = "q",
) -> SearchResponse:
    """Return an answer with these products, best first; `missing` is why a shard is not in it."""
    hits = tuple(
        ANSWER.hits[0].model_copy(
            update={
                "rank": rank,
                "product_id": product,
                "score": 1 / rank,
                "fields": (fields or {}).get(product, {}),
            }
        )
        for rank, product in enumerate(products, start=1)
    )
    partition = ANSWER.partitions[0].model_copy(update={"answered": not missing, "reason": missing or None})
    return ANSWER.model_copy(
        update={
            "query_id": query_id,
            "generation": "g1",
            "hits": hits,
            "partial": bool(missing),
            "partitions": (partition,),
            "took_ms": 12.0,
        }
    )


def product_answer(product_id: str, **changed: object) -> ProductResponse:
    """Return a product as the index has it."""
    return PRODUCT.model_copy(update={"product_id": product_id, **changed})


def revisions(*versions: int) -> tuple[ProductRevision, ...]:
    """Return the revisions of a product that was written with these versions."""
    return tuple(
        ProductRevision(line="version", version=(version,), appended=(0, 0, 0), op="patch", fields=())
        for version in versions
    )
