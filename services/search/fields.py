"""Which attributes the products of a generation have, as its shards say."""

import asyncio
from collections.abc import Sequence

from schemas.fields import FieldsResponse
from schemas.shard_api import PartitionFields
from services.search.domain.candidate import ShardAnswer
from services.search.domain.fields import explained, gathered, impossible
from services.search.domain.route import Route
from services.search.shards import ShardClient, ShardFailure, ShardQuery
from shared.cluster.members import OwnerRecord
from shared.http.problem import Refusal

LIST_THEM = "`headrace fields` (GET /fields) lists what can be filtered"


async def fields_of(shards: ShardClient, plan: Route, query: ShardQuery) -> FieldsResponse:
    """Ask every partition; one that does not answer in time is left out, and the answer says so."""
    asked = [_one(shards, owners, query, partition=number) for number, owners in plan.choices.items()]
    answers = [answer for answer in await asyncio.gather(*asked) if answer is not None]
    fields, unnamed = gathered(answers)
    return FieldsResponse(
        generation=query.generation,
        partial=len(answers) < plan.partitions,
        documents=sum(answer.documents for answer in answers),
        fields=fields,
        unnamed=unnamed,
    )


async def check_filters(
    shards: ShardClient, plan: Route, query: ShardQuery, *, answers: Sequence[ShardAnswer]
) -> None:
    """Refuse a filter on what no product has (`Refusal`), so that a typing error is not an empty shop."""
    wrong = impossible(query.filters, answers) if query.filters else []
    if wrong:
        known = await fields_of(shards, plan, query)
        detail = "; ".join(dict.fromkeys(explained(one, known.fields) for one in wrong))
        raise Refusal(422, "filter.impossible", detail, fix=LIST_THEM)


async def _one(
    shards: ShardClient, owners: Sequence[OwnerRecord], query: ShardQuery, *, partition: int
) -> PartitionFields | None:
    for owner in owners:
        try:
            answer = await shards.fields(owner, query, partition)
        except ShardFailure:  # counted where it is made
            continue
        if answer is not None:
            return answer
    return None
