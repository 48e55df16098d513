"""The routes of the search API."""

from dataclasses import replace
from datetime import datetime, timedelta
from importlib.resources import files
from time import perf_counter
from typing import Annotated

from fastapi import FastAPI, Path, Query, Request
from prometheus_client import Counter, Histogram
from pydantic import BaseModel
from starlette.responses import HTMLResponse, Response
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from schemas.base import GenerationName, ProductId
from schemas.search_api import (
    MAX_K,
    MAX_QUERY,
    Mode,
    SearchableRequest,
    SearchRequest,
    SimilarRequest,
    WhyResponse,
)
from services.search.description import ROUTES, describe
from services.search.domain.answer import SearchAnswer
from services.search.domain.explanation import explain
from services.search.domain.fusion import rank_of
from services.search.domain.record import query_record
from services.search.engine import SearchEngine
from services.search.log import QueryLog
from services.search.settings import SearchSettings
from services.search.written import Asked, WrittenChanges
from shared.http.gate import Gate, RequestLimits, place_of
from shared.http.origins import CrossOrigin
from shared.http.problem import problems
from shared.ports import Clock

searches = Counter("headrace_searches", "Searches answered", ("endpoint", "outcome"))
seconds = Histogram(
    "headrace_search_seconds",
    "Time to answer a search, by its arm in a trial: both generations are asked for an interleaved one",
    ("endpoint", "arm"),
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
MINUTE = timedelta(minutes=1)
GUARDED = ("/search", "/similar", "/why", "/product/", "/fields", "/written")


class SearchApi:
    """HTTP in, answers out; logs what shoppers were shown."""

    def __init__(
        self,
        settings: SearchSettings,
        engine: SearchEngine,
        log: QueryLog,
        *,
        written: WrittenChanges,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._written = written
        self._log = log
        self._clock = clock
        self._minute_began, self._vectors_logged = clock.now(), 0

    async def search(self, request: SearchRequest, http: Request) -> Response:
        """Search by text: `dense` (meaning), `lexical` (words) or `hybrid` (both, the default)."""
        began = perf_counter()
        answer = await self._engine.search(await self._seen(request, http))
        milliseconds = (perf_counter() - began) * 1000
        if request.log and self._settings.log_queries:
            now = self._clock.now()
            record = query_record(
                request,
                answer if self._logs_vector(now) else replace(answer, vector=None),
                now=now,
                application=self._settings.application,
                took_ms=round(milliseconds, 3),
            )
            self._log.write(record)
        return _answered("search", answer, milliseconds=milliseconds, fields=request.fields)

    def _logs_vector(self, now: datetime) -> bool:
        """Return whether this minute's share of query vectors is not yet logged."""
        if now - self._minute_began >= MINUTE:
            self._minute_began, self._vectors_logged = now, 0
        self._vectors_logged += 1
        return self._vectors_logged <= self._settings.log_vectors

    async def similar(self, request: SimilarRequest, http: Request) -> Response:
        """Find the products nearest to a product, or to a text."""
        began = perf_counter()
        answer = await self._engine.similar(await self._seen(request, http))
        milliseconds = (perf_counter() - began) * 1000
        return _answered("similar", answer, milliseconds=milliseconds, fields=request.fields)

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
        rank = rank_of(answer.ranked, product_id)
        ranked = answer.ranked[rank - 1] if rank else None
        reasons = explain(
            product_id,
            shard,
            rank=rank,
            depth=len(answer.ranked),
            reranker=ranked.reranker if ranked else None,
        )
        return _json(
            WhyResponse(
                query=query,
                product_id=product_id,
                generation=answer.generation,
                mode=answer.mode,
                partial=answer.partial,
                rank=rank,
                score=ranked.score if ranked else None,
                shard=shard,
                reasons=tuple(reasons),
            )
        )

    async def product(
        self,
        product_id: Annotated[ProductId, Path()],
        generation: Annotated[GenerationName | None, Query()] = None,
    ) -> Response:
        """Return a product as the index has it, with the versions of its fields and where it lies."""
        return _json(await self._engine.product(product_id, generation))

    async def searchable(self, request: SearchableRequest, http: Request) -> Response:
        """Wait until what was written to the catalogue's changes, up to these offsets, is in every answer."""
        with place_of(http).waiting():
            answer = await self._written.wait(request)
        return _json(answer)

    async def _seen(self, request: Asked, http: Request) -> Asked:
        """Return the search that the shards are ready for; until then it takes no place from others."""
        if request.written is None and not request.min_offsets:
            return request
        with place_of(http).waiting():
            return await self._written.seen(request)

    async def fields(self, generation: Annotated[GenerationName | None, Query()] = None) -> Response:
        """List every attribute that a product has: how often, with what values, what filters can use.

        At most ten seconds old.
        """
        return _json(await self._engine.fields(generation))


def mount(api: FastAPI, routes: SearchApi, settings: SearchSettings, *, host: str) -> None:
    """Add the routes, the gate before them, their errors, and `/docs` (which needs no network).

    `host` is where it listens: on the loopback alone pages of this machine may call it.
    """
    for name, route in ROUTES.items():
        api.add_api_route(
            route.path,
            getattr(routes, name),
            methods=[route.method],
            response_class=Response,
            response_model=None,  # the routes make their answers themselves, from the same models
            responses=route.responses(),
        )
    describe(api)
    page = files(__package__).joinpath("docs.html").read_text("utf-8")
    api.add_api_route("/docs", lambda: HTMLResponse(page), include_in_schema=False)
    problems(api)
    limits = RequestLimits(
        paths=GUARDED,
        concurrency=settings.concurrency,
        max_body=settings.max_body,
        smaller="send a shorter query or fewer filters",
        tokens=settings.tokens,
        waiting=settings.waiting,
        per_client=settings.per_client,
        body_within=settings.body_within,
    )
    api.add_middleware(Gate, limits=limits)
    # Outside the gate: a browser asks whether it may before it says with which token.
    api.add_middleware(CrossOrigin, origins=settings.origins, host=host, paths=GUARDED)
    if settings.proxies:
        api.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.proxies))


def _answered(
    endpoint: str, answer: SearchAnswer, *, milliseconds: float, fields: tuple[str, ...] | None
) -> Response:
    searches.labels(endpoint, "partial" if answer.partial else "whole").inc()
    seconds.labels(endpoint, answer.trial.arm if answer.trial else "").observe(milliseconds / 1000)
    body = answer.body(took_ms=milliseconds, fields=fields)
    return Response(body, media_type="application/json")


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")
