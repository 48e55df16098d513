"""The shard's side of a search, over HTTP on the worker's own port: the search service asks, we answer."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, TypeVar

import numpy as np
import orjson
from fastapi import APIRouter, Request, Response
from pydantic import Field, ValidationError
from starlette.requests import ClientDisconnect

from schemas.base import Fingerprint, GenerationName, Offset, ProductId, Value
from schemas.filters import MAX_FILTERS, Filter
from services.shards.rows import Floats
from services.shards.serving import RefusedQueryError, Serving
from services.shards.view import Hit, Mode, Query, View
from shared.partitioning import partition_of

T = TypeVar("T")
MAX_BODY = 1 << 20
MAX_K = 10_000
Lookup = Callable[[int], Serving | None]
"""Finds an open shard of one generation by its number."""


class Question(Value):
    """What every query carries: which generation, vector (base64 of little-endian float32), text, filters."""

    generation: GenerationName
    vector: str | None = None
    fingerprint: Fingerprint | None = None
    text: Annotated[str, Field(max_length=32_768)] | None = None
    mode: Mode = "hybrid"
    filters: Annotated[tuple[Filter, ...], Field(max_length=MAX_FILTERS)] = ()


class QueryRequest(Question):
    """`POST /query`."""

    partitions: Annotated[tuple[int, ...], Field(max_length=1024)]
    k: Annotated[int, Field(ge=1, le=MAX_K)] = 10
    exact: bool = False
    min_offsets: dict[int, Offset] | None = None
    timeout_ms: Annotated[int, Field(ge=0, le=60_000)] = 1000


class ProductQuestion(Question):
    """`POST /explain`: why one product is where it is; `POST /similar` needs the product only."""

    product_id: ProductId


class Answers:
    """Answers questions about the shards of a generation (`shards_of`); searching runs in `threads`."""

    def __init__(self, shards_of: Callable[[str], Lookup | None], *, partitions: int, threads: int) -> None:
        self._shards_of = shards_of
        self._partitions = partitions
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="search")

    async def query(self, request: QueryRequest) -> bytes:
        """Search every named partition; refuses as a whole, so that a caller knows what is missing."""
        serving = [self._serving(request.generation, number) for number in request.partitions]
        wait = timedelta(milliseconds=request.timeout_ms)
        wanted = request.min_offsets or {}
        await asyncio.gather(
            *(each.reached(wanted[each.partition], wait) for each in serving if each.partition in wanted)
        )
        for each in serving:
            _check_ready(each)
        views = [(each, each.shard.view) for each in serving]
        questions = [_query(request, view, k=request.k, exact=request.exact) for _, view in views]
        answers = [
            self._in_thread(partial(view.search, question))
            for (_, view), question in zip(views, questions, strict=True)
        ]
        found = zip(views, await asyncio.gather(*answers), strict=True)
        return orjson.dumps({"partitions": [_answer(each, view, hits) for (each, view), hits in found]})

    async def product(self, product_id: str, generation: str) -> bytes | None:
        """Return the stored document with its place; None when it is not in the index."""
        serving, view = self._home(product_id, generation)
        return await self._in_thread(lambda: _product(serving, view, product_id))

    async def similar(self, request: ProductQuestion) -> bytes | None:
        """Return the product's vector, to search with."""
        _, view = self._home(request.product_id, request.generation)
        vector = await self._in_thread(lambda: view.vector(request.product_id))
        if vector is None:
            return None
        encoded = base64.b64encode(vector.astype("<f4").tobytes()).decode()
        answer = {"product_id": request.product_id, "vector": encoded, "fingerprint": view.fingerprint}
        return orjson.dumps(answer)

    async def explain(self, request: ProductQuestion) -> bytes | None:
        """Return scores and ranks of one product among all of its shard, and what excludes it."""
        serving, view = self._home(request.product_id, request.generation)
        query = _query(request, view, k=1, exact=True)
        found = await self._in_thread(lambda: view.explain(request.product_id, query))
        if found is None:
            return None
        return orjson.dumps(
            {
                "product_id": request.product_id,
                "partition": serving.partition,
                "documents": view.documents,
                "segment": found.segment,
                "offset": found.offset,
                "dense": found.dense._asdict(),
                "lexical": found.lexical._asdict(),
                "excluded_by": [each.model_dump(exclude_none=True) for each in found.excluded_by],
            }
        )

    async def dump(self, generation: str, partition: int) -> bytes:
        """Return every living document as NDJSON, by product id."""
        view = self._serving(generation, partition).shard.view
        return await self._in_thread(lambda: b"".join(_dumped(view)))

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _home(self, product_id: str, generation: str) -> tuple[Serving, View]:
        serving = self._serving(generation, partition_of(product_id.encode(), self._partitions))
        _check_ready(serving)
        return serving, serving.shard.view

    def _serving(self, generation: str, number: int) -> Serving:
        lookup = self._shards_of(generation)
        if lookup is None:
            raise RefusedQueryError("not.owner", f"this process does not serve generation {generation}")
        serving = lookup(number)
        if serving is None:
            raise RefusedQueryError("not.owner", f"shard {number} is not served here", partition=number)
        return serving

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def router(answers: Answers) -> APIRouter:
    """Return the routes: 409 with a reason when the shard refuses, 422 when the question is malformed."""
    routes = APIRouter()

    @routes.post("/query")
    async def query(request: Request) -> Response:
        return await _respond(request, QueryRequest, answers.query)

    @routes.post("/similar")
    async def similar(request: Request) -> Response:
        return await _respond(request, ProductQuestion, answers.similar)

    @routes.post("/explain")
    async def explain(request: Request) -> Response:
        return await _respond(request, ProductQuestion, answers.explain)

    @routes.get("/products/{product_id:path}")
    async def product(product_id: str, generation: str) -> Response:
        return await _guarded(lambda: answers.product(product_id, generation))

    @routes.get("/dump")
    async def dump(generation: str, partition: int) -> Response:
        return await _guarded(lambda: answers.dump(generation, partition), media="application/x-ndjson")

    return routes


Asked = TypeVar("Asked", bound=Question)


async def _respond(
    request: Request, kind: type[Asked], answer: Callable[[Asked], Awaitable[bytes | None]]
) -> Response:
    try:
        body = await request.body()
    except ClientDisconnect:  # whoever asked has stopped waiting
        return Response(status_code=499)
    if len(body) > MAX_BODY:
        return _json(413, {"reason": "too.large", "explanation": f"more than {MAX_BODY} bytes"})
    try:
        asked = kind.model_validate_json(body)
    except ValidationError as error:
        return _json(422, {"reason": "malformed", "explanation": str(error)})
    return await _guarded(lambda: answer(asked))


async def _guarded(
    answer: Callable[[], Awaitable[bytes | None]], media: str = "application/json"
) -> Response:
    try:
        found = await answer()
    except RefusedQueryError as refusal:
        return _json(409, refusal.body)
    except ValueError as error:
        return _json(422, {"reason": "malformed", "explanation": str(error)})
    if found is None:
        return _json(404, {"reason": "not.found", "explanation": "no such product in this generation"})
    return Response(found, media_type=media)


def _json(status: int, body: dict[str, Any]) -> Response:  # Any: JSON
    return Response(orjson.dumps(body), status, media_type="application/json")


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


def _query(asked: Question, view: View, *, k: int, exact: bool) -> Query:
    vector = _vector(asked.vector)
    if vector is not None and view.fingerprint is not None and asked.fingerprint != view.fingerprint:
        raise RefusedQueryError(
            "fingerprint.mismatch",
            f"the query was embedded by model {asked.fingerprint}, this shard holds {view.fingerprint}",
        )
    if vector is not None and view.dimensions is not None and vector.size != view.dimensions:
        raise ValueError(f"the query has {vector.size} dimensions, the shard {view.dimensions}")
    return Query(vector=vector, text=asked.text, k=k, mode=asked.mode, filters=asked.filters, exact=exact)


def _vector(encoded: str | None) -> Floats | None:
    """Decode a query vector; raises ValueError when it is not finite float32 numbers."""
    if encoded is None:
        return None
    try:
        vector = np.frombuffer(base64.b64decode(encoded, validate=True), "<f4").astype(np.float32)
    except binascii.Error as error:
        raise ValueError(f"the vector is not base64: {error}") from error
    if not vector.size or not np.isfinite(vector).all():
        raise ValueError("the vector is empty or has a NaN or an infinity")
    return vector


def _answer(serving: Serving, view: View, hits: list[Hit]) -> dict[str, Any]:  # Any: JSON
    return {
        "partition": serving.partition,
        "epoch": serving.epoch,
        "next_offset": max(view.next_offset or 0, 0),
        "fingerprint": view.fingerprint,
        "documents": view.documents,
        "hits": [hit._asdict() for hit in hits],
    }


def _product(serving: Serving, view: View, product_id: str) -> bytes | None:
    found = view.reader.product(product_id)
    if found is None:
        return None
    offset, stored = found
    place = view.locate(np.array([offset], np.int64))[offset]
    where = {"offset": offset, "segment": place.part.unit.name, "partition": serving.partition}
    return orjson.dumps({**orjson.loads(stored), **where, "fingerprint": view.fingerprint})


def _dumped(view: View) -> Iterator[bytes]:
    documents = ({**orjson.loads(stored), "offset": offset} for offset, stored in view.reader.everything())
    for each in sorted(documents, key=lambda document: str(document["product_id"])):
        yield orjson.dumps(each) + b"\n"
