"""What the products of a list say: asked of their shards for those that are shown, and for no others."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from prometheus_client import Counter

from services.search.domain.candidate import ShardAnswer
from services.search.domain.fusion import RankedCandidate
from services.search.shards import ShardClient, ShardFailure, ShardQuery

gone = Counter("headrace_search_products_gone", "Products that were deleted between ranking and showing them")

Documents = Mapping[str, bytes]


async def hydrated(
    shards: ShardClient,
    ranked: Sequence[RankedCandidate],
    query: ShardQuery,
    *,
    answers: Sequence[ShardAnswer],
) -> tuple[list[RankedCandidate], list[ShardAnswer]]:
    """Return the ranked products with what they say, and the answers: of whom it was heard in the end.

    What a product says is what it says now: a price may be newer than the ranking. One that was deleted in
    between is left out. A shard that says nothing any more is missing from the answer, as are its products.
    """
    owners = {answer.report.partition: answer.report.owner for answer in answers if answer.report.answered}
    wanted: dict[str, dict[int, list[str]]] = {}
    for one in ranked:
        partition = one.candidate.partition
        by_partition = wanted.setdefault(owners[partition] or "", {})
        by_partition.setdefault(partition, []).append(one.candidate.product_id)
    asked = (_documents(shards, url, products, query=query) for url, products in wanted.items())
    outcomes = dict(zip(wanted, await asyncio.gather(*asked), strict=True))
    failed = {url: reason for url, reason in outcomes.items() if isinstance(reason, ShardFailure)}
    documents = {
        product_id: document
        for outcome in outcomes.values()
        if not isinstance(outcome, ShardFailure)
        for product_id, document in outcome.items()
    }
    kept = [
        with_fields(one, document) for one in ranked if (document := documents.get(one.candidate.product_id))
    ]
    gone.inc(sum(not document for document in documents.values()))
    return kept, [_heard(answer, failed) for answer in answers]


def with_fields(one: RankedCandidate, document: bytes) -> RankedCandidate:
    """Return a ranked product with what it says."""
    return replace(one, candidate=one.candidate._replace(document=document))


async def _documents(
    shards: ShardClient, url: str, products: Mapping[int, list[str]], *, query: ShardQuery
) -> Documents | ShardFailure:
    wanted = {number: tuple(ids) for number, ids in products.items()}
    try:
        answer = await shards.documents(url, wanted, query)
    except ShardFailure as failure:
        return failure
    return {
        product_id: document
        for number, ids in wanted.items()
        for product_id, document in zip(ids, answer.products.get(number, ()), strict=False)
    }


def _heard(answer: ShardAnswer, failed: Mapping[str, ShardFailure]) -> ShardAnswer:
    reason = failed.get(answer.report.owner or "")
    if reason is None:
        return answer
    report = answer.report.model_copy(update={"answered": False, "reason": str(reason)})
    return replace(answer, report=report)
