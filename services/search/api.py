"""The routes of the search API."""

from dataclasses import replace
from datetime import datetime, timedelta
from importlib.resources import files
from time import perf_counter
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Path, Query
from fastapi.exceptions import RequestValidationError
from prometheus_client import Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from schemas.base import GenerationName, ProductId
from services.search.domain.answer import Answer
from services.search.domain.explanation import explain
from services.search.domain.record import query_record
from services.search.domain.request import MAX_K, MAX_QUERY, Mode, SearchRequest, SimilarRequest
from services.search.engine import SearchEngine, place_of
from services.search.limits import Gate
from services.search.log import QueryLog
from services.search.problem import Refusal, on_http_error, on_invalid, on_refusal
from services.search.settings import SearchSettings
from shared.ports import Clock

searches = Counter("headrace_searches", "Searches answered", ("endpoint", "outcome"))
seconds = Histogram(
    "headrace_search_seconds",
    "Time to answer a search",
    ("endpoint",),
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
MINUTE = timedelta(minutes=1)


class SearchApi:
    """HTTP in, answers out; logs what shoppers were shown."""

    def __init__(
        self, settings: SearchSettings, engine: SearchEngine, log: QueryLog, *, clock: Clock
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._log = log
        self._clock = clock
        self._minute, self._vectors = clock.now(), 0

    async def search(self, request: SearchRequest) -> Response:
        """Search by text: `dense` (meaning), `lexical` (words) or `hybrid` (both, the default)."""
        began = perf_counter()
        answer = await self._engine.search(request)
        took = (perf_counter() - began) * 1000
        if request.log and self._settings.log_queries:
            now = self._clock.now()
            record = query_record(
                request,
                answer if self._takes_vector(now) else replace(answer, vector=None),
                now=now,
                application=self._settings.application,
                took_ms=round(took, 3),
            )
            self._log.write(record)
        return _answered("search", answer, took=took, fields=request.fields)

    def _takes_vector(self, now: datetime) -> bool:
        """Return whether this minute's share of query vectors is not yet logged."""
        if now - self._minute >= MINUTE:
            self._minute, self._vectors = now, 0
        self._vectors += 1
        return self._vectors <= self._settings.log_vectors

    async def similar(self, request: SimilarRequest) -> Response:
        """Find the products nearest to a product, or to a text."""
        began = perf_counter()
        answer = await self._engine.similar(request)
        took = (perf_counter() - began) * 1000
        return _answered("similar", answer, took=took, fields=request.fields)

    async def why(
        self,
        *,
        query: Annotated[str, Query(min_length=1, max_length=MAX_QUERY)],
        product_id: Annotated[ProductId, Query()],
        mode: Annotated[Mode, Query()] = "hybrid",
        generation: Annotated[GenerationName | None, Query()] = None,
        depth: Annotated[int, Query(ge=1, le=MAX_K)] = MAX_K,
    ) -> Response:
        """Explain the rank, or the absence, of a product in the answer to a query.

        Its rank is looked for among the first `depth`; its scores are exact at any depth.
        """
        request = SearchRequest(text=query, mode=mode, generation=generation, k=depth, log=False)
        answer, shard = await self._engine.why(request, product_id)
        place = place_of(answer.ranked, product_id)
        ranked = answer.ranked[place - 1] if place else None
        return _json(
            {
                "query": query,
                "product_id": product_id,
                "generation": answer.generation,
                "mode": answer.mode,
                "partial": answer.partial,
                "rank": place,
                "score": ranked.score if ranked else None,
                "shard": shard,
                "reasons": explain(
                    product_id,
                    shard,
                    rank=place,
                    depth=len(answer.ranked),
                    last_stage=ranked.last_stage if ranked else None,
                ),
            }
        )

    async def product(
        self,
        product_id: Annotated[ProductId, Path()],
        generation: Annotated[GenerationName | None, Query()] = None,
    ) -> Response:
        """Return a product as the index has it, with the versions of its fields and where it lies."""
        return _json(await self._engine.product(product_id, generation))


def mount(api: FastAPI, routes: SearchApi, settings: SearchSettings) -> None:
    """Add the routes, the gate before them, their errors, and `/docs` (which needs no network)."""
    answers = {status: {"description": text} for status, text in _PROBLEMS.items()}
    for path, method, route in (
        ("/search", "POST", routes.search),
        ("/similar", "POST", routes.similar),
        ("/why", "GET", routes.why),
        ("/product/{product_id:path}", "GET", routes.product),
    ):
        api.add_api_route(
            path, route, methods=[method], response_class=Response, response_model=None, responses=answers
        )
    page = files(__package__).joinpath("docs.html").read_text("utf-8")
    api.add_api_route("/docs", lambda: HTMLResponse(page), include_in_schema=False)
    api.add_exception_handler(Refusal, on_refusal)
    api.add_exception_handler(RequestValidationError, on_invalid)
    api.add_exception_handler(HTTPException, on_http_error)
    api.add_middleware(Gate, settings=settings)


_PROBLEMS: dict[int | str, str] = {
    401: "A bearer token is missing",
    413: "The body is too large",
    422: "The request does not fit",
    429: "Too many requests in hand; ask again after `Retry-After` seconds",
    503: "No shard could answer",
}


def _answered(endpoint: str, answer: Answer, *, took: float, fields: tuple[str, ...] | None) -> Response:
    searches.labels(endpoint, "partial" if answer.partial else "whole").inc()
    seconds.labels(endpoint).observe(took / 1000)
    return _json(answer.json(took_ms=took, fields=fields))


def _json(body: dict[str, Any]) -> Response:  # Any: JSON
    return Response(orjson.dumps(body), media_type="application/json")
