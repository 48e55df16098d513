"""The shard's side of a search, over HTTP on the worker's own port: the search service asks, we answer."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Protocol, TypeVar

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from schemas.fields import FieldKind
from schemas.search_api import IndexedProduct, ProductExplanation
from schemas.shard_api import (
    ExplainRequest,
    PartitionAnswer,
    ShardHit,
    ShardQueryAnswer,
    ShardQueryRequest,
    ShardRefusal,
    ShardRequest,
    VectorAnswer,
    VectorRequest,
)
from services.shards.asking import view_query
from services.shards.documents import dumped, shown
from services.shards.fields import FieldSummaries
from services.shards.searching import ViewQuery, hits_of, search, terms_of, word_statistics
from services.shards.serving import RefusedQueryError, Serving
from services.shards.view import View
from shared.kafka.partitioning import partition_of

T = TypeVar("T")
MAX_BODY = 1 << 20
Searched = tuple[list[ShardHit], dict[str, list[FieldKind]] | None]
Lookup = Callable[[int], Serving | None]
"""Finds an open shard of one generation by its number."""


class Partitioned(Protocol):
    """A question about partitions of a generation."""

    @property
    def generation(self) -> str:
        """Of which."""
        ...

    @property
    def partitions(self) -> tuple[int, ...]:
        """Which."""
        ...


class ShardQueryService:
    """Answers questions about the shards of a generation (`shards_of`); searching runs in `threads`."""

    def __init__(self, shards_of: Callable[[str], Lookup | None], *, partitions: int, threads: int) -> None:
        self._shards_of = shards_of
        self._partitions = partitions
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="search")
        self._fields = FieldSummaries(self.in_thread)

    async def query(self, request: ShardQueryRequest) -> bytes:
        """Search every named partition; refuses as a whole, so that a caller knows what is missing."""
        wait = timedelta(milliseconds=request.timeout_ms)
        shards = await self.caught_up(request, request.min_offsets or {}, within=wait)
        views = [shard.shard.view for shard in shards]  # of one moment: what is applied later is not seen
        query = view_query(request, views, k=request.k, exact=request.exact)
        counted = self.served(request.generation)
        answers = await self.in_thread(
            lambda: [*map(_answer, shards, views, _searched(views, query, counted=counted))]
        )
        return orjson.dumps(ShardQueryAnswer(partitions=answers))

    async def caught_up(
        self, question: Partitioned, wanted: Mapping[int, int], *, within: timedelta
    ) -> list[Serving]:
        """Return the named shards once they are at these offsets; raises `RefusedQueryError`.

        Raises `ValueError` where a partition is named twice: a thousand times is a thousand searches.
        """
        if len(set(question.partitions)) < len(question.partitions):
            raise ValueError("a partition is named twice")
        shards = [self.serving(question.generation, number) for number in question.partitions]
        await asyncio.gather(
            *(shard.reached(wanted[shard.partition], within) for shard in shards if shard.partition in wanted)
        )
        for shard in shards:
            _check_ready(shard)
        return shards

    def served(self, generation: str) -> list[View]:
        """Return what there is of a generation in this process, and may be counted."""
        lookup = self._shards_of(generation)
        shards = (lookup(number) for number in range(self._partitions)) if lookup is not None else ()
        return [shard.shard.view for shard in shards if shard is not None and shard.waiting_for is None]

    async def product(self, product_id: str, generation: str) -> bytes | None:
        """Return the stored document with its place; None when it is not in the index."""
        serving, view = self._home(product_id, generation)
        product = await self.in_thread(lambda: _product(serving, view, product_id))
        return None if product is None else product.model_dump_json().encode()

    async def similar(self, request: VectorRequest) -> bytes | None:
        """Return the product's vector, to search with."""
        _, view = self._home(request.product_id, request.generation)
        vector = await self.in_thread(lambda: view.vector(request.product_id))
        if vector is None:
            return None
        encoded = base64.b64encode(vector.astype("<f4").tobytes()).decode()
        answer = VectorAnswer(product_id=request.product_id, vector=encoded, fingerprint=view.fingerprint)
        return answer.model_dump_json().encode()

    async def explain(self, request: ExplainRequest) -> bytes | None:
        """Return scores and ranks of one product among all of its shard, and what excludes it."""
        serving, view = self._home(request.product_id, request.generation)
        query = view_query(request, [view], k=1, exact=True)
        explanation = await self.in_thread(lambda: view.explain(request.product_id, query))
        if explanation is None:
            return None
        answer = ProductExplanation(
            product_id=request.product_id,
            partition=serving.partition,
            documents=view.documents,
            segment=explanation.segment,
            offset=explanation.offset,
            dense=explanation.dense,
            lexical=explanation.lexical,
            excluded_by=tuple(explanation.excluded_by),
        )
        return answer.model_dump_json().encode()

    async def fields(self, generation: str, partition: int) -> bytes:
        """Return which attributes the products of a partition have, and how often."""
        serving = self.serving(generation, partition)
        _check_ready(serving)
        return (await self._fields.of(serving)).model_dump_json().encode()

    async def dump(self, generation: str, partition: int) -> bytes:
        """Return every living document as NDJSON, by product id."""
        serving = self.serving(generation, partition)
        _check_ready(serving)
        view = serving.shard.view
        return await self.in_thread(lambda: b"".join(dumped(view)))

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _home(self, product_id: str, generation: str) -> tuple[Serving, View]:
        serving = self.serving(generation, partition_of(product_id.encode(), self._partitions))
        _check_ready(serving)
        return serving, serving.shard.view

    def serving(self, generation: str, number: int) -> Serving:
        """Return an open shard; raises `RefusedQueryError`."""
        lookup = self._shards_of(generation)
        if lookup is None:
            raise RefusedQueryError("not.owner", f"this process does not serve generation {generation}")
        serving = lookup(number)
        if serving is None:
            raise RefusedQueryError("not.owner", f"shard {number} is not served here", partition=number)
        return serving

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Return what a thread of the searches makes of it."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def router(answers: ShardQueryService) -> APIRouter:
    """Return the routes: 409 with a reason when the shard refuses, 422 when the question is malformed."""
    routes = APIRouter()

    @routes.post("/query")
    async def query(request: Request) -> Response:
        return await _respond(request, ShardQueryRequest, answers.query)

    @routes.post("/similar")
    async def similar(request: Request) -> Response:
        return await _respond(request, VectorRequest, answers.similar)

    @routes.post("/explain")
    async def explain(request: Request) -> Response:
        return await _respond(request, ExplainRequest, answers.explain)

    @routes.get("/products/{product_id:path}")
    async def product(product_id: str, generation: str) -> Response:
        return await _guarded(lambda: answers.product(product_id, generation))

    @routes.get("/fields")
    async def fields(generation: str, partition: int) -> Response:
        return await _guarded(lambda: answers.fields(generation, partition))

    @routes.get("/dump")
    async def dump(generation: str, partition: int) -> Response:
        return await _guarded(lambda: answers.dump(generation, partition), media="application/x-ndjson")

    return routes


Question = TypeVar("Question", bound=ShardRequest)


async def _respond(
    request: Request, kind: type[Question], answer: Callable[[Question], Awaitable[bytes | None]]
) -> Response:
    try:
        body = await request.body()
    except ClientDisconnect:  # whoever asked has stopped waiting
        return Response(status_code=499)
    if len(body) > MAX_BODY:
        return _refused(413, "too.large", f"more than {MAX_BODY} bytes")
    try:
        question = kind.model_validate_json(body)
    except ValidationError as error:
        return _refused(422, "malformed", str(error))
    return await _guarded(lambda: answer(question))


async def _guarded(
    answer: Callable[[], Awaitable[bytes | None]], media: str = "application/json"
) -> Response:
    try:
        body = await answer()
    except RefusedQueryError as error:
        return _json(409, error.refusal)
    except ValueError as error:
        return _refused(422, "malformed", str(error))
    if body is None:
        return _refused(404, "not.found", "no such product in this generation")
    return Response(body, media_type=media)


def _refused(status: int, reason: str, explanation: str) -> Response:
    refusal = ShardRefusal(
        reason=reason, explanation=explanation, partition=None, next_offset=None, wanted=None
    )
    return _json(status, refusal)


def _json(status: int, refusal: ShardRefusal) -> Response:
    return Response(refusal.model_dump_json(), status, media_type="application/json")


def _check_ready(serving: Serving) -> None:
    reason = serving.waiting_for
    if reason is not None:
        raise RefusedQueryError(
            "behind",
            reason,
            partition=serving.partition,
            next_offset=serving.next_offset,
            wanted=serving.end_offset,
        )


def _searched(views: Sequence[View], query: ViewQuery, *, counted: Sequence[View]) -> list[Searched]:
    """Return the hits of each view, and where there are none what the filters might have been about."""
    statistics = word_statistics(counted, terms_of(query.text)) if query.text else None
    by_view = zip(views, search(views, query, statistics), strict=True)
    hits_by_view = [(view, hits_of(view, scores)) for view, scores in by_view]
    return [
        (hits, view.kinds(query.filters) if query.filters and not hits else None)
        for view, hits in hits_by_view
    ]


def _answer(serving: Serving, view: View, searched: Searched) -> PartitionAnswer:
    hits, kinds = searched
    return PartitionAnswer(
        partition=serving.partition,
        epoch=serving.epoch,
        next_offset=max(view.next_offset or 0, 0),
        fingerprint=view.fingerprint,
        documents=view.documents,
        hits=hits,
        kinds=kinds,
    )


def _product(serving: Serving, view: View, product_id: str) -> IndexedProduct | None:
    place = view.place(product_id)
    if place is None:
        return None
    where = {"segment": place.part.name, "partition": serving.partition, "fingerprint": view.fingerprint}
    return IndexedProduct.model_validate({**shown(place), **where})
