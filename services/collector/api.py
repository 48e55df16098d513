"""The routes of the collector."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from time import perf_counter
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from prometheus_client import Counter, Histogram
from starlette.responses import Response
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from schemas.base import EPOCH, MILLISECOND
from schemas.collector_api import MAX_BATCH, CollectorAnswer, RejectedItem
from schemas.search_api import Problem, RequestFault
from services.collector.domain.allowance import Allowances, client_of
from services.collector.domain.body import BodyError, RequestCost, messages_of
from services.collector.domain.intake import Reader, Receipt, Rejection, change_reader, read_event, read_query
from services.collector.log import AcknowledgedLog
from services.collector.script import PageScript
from services.collector.settings import CollectorSettings
from shared.errors import PoisonError, TransientError
from shared.http.gate import Gate, RequestLimits, authorised, no_token
from shared.http.origins import CrossOrigin
from shared.http.problem import Refusal, problems
from shared.ports import Clock
from shared.records import Outgoing

accepted = Counter("headrace_collector_accepted", "Messages that Kafka has acknowledged", ("kind",))
rejected = Counter("headrace_collector_rejected", "Messages that were not taken", ("kind", "reason"))
seconds = Histogram(
    "headrace_collector_seconds",
    "Time from a request's body to Kafka's acknowledgement",
    ("kind",),
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
FROM_PAGES = ("/events", "/queries")
GUARDED = (*FROM_PAGES, "/changes")
LAST_MOMENT = 253_402_300_799_999
"""Milliseconds since 1970 of the year 9999's end."""
ONE_OR_MANY = "send one JSON object, an array of them, or one a line, in UTF-8"
ANSWERS: dict[int | str, dict[str, Any]] = {  # Any: what FastAPI takes
    202: {"description": "Kafka has acknowledged what was accepted", "model": CollectorAnswer},
    **{
        status: {"description": what, "model": Problem}
        for status, what in {
            401: "A bearer token is missing (`/changes`)",
            403: "Pages of this origin may not send anything",
            404: "No token is configured, so `/changes` is off",
            408: "The body came too slowly",
            413: "The body is too large, or has too many messages",
            415: "The body is compressed",
            422: "Nothing of it could be taken; `errors` says why",
            429: "Too many requests in hand, or too much of one address; `Retry-After`",
            503: "Kafka has not acknowledged in time; `Retry-After`",
        }.items()
    },
}
NOSNIFF = {"X-Content-Type-Options": "nosniff"}

Sent = Annotated[int | None, Query(ge=0, le=LAST_MOMENT)]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What one path takes."""

    name: str
    read: Reader


class CollectorApi:
    """HTTP in, Kafka out: 202 when all replicas have what was accepted."""

    def __init__(
        self, settings: CollectorSettings, log: AcknowledgedLog, *, parts: frozenset[str], clock: Clock
    ) -> None:
        self._settings = settings
        self._log = log
        self._clock = clock
        self._allowances = Allowances(a_minute=settings.rate, clients=settings.clients)
        self._events = _Kind("event", read_event)
        self._queries = _Kind("query", read_query)
        self._changes = _Kind("change", change_reader(parts))

    async def events(self, request: Request, sent: Sent = None) -> Response:
        """Take UBI 1.3 events: one, a JSON array, or one a line.

        `sent` is the page's clock when it sent them, in milliseconds since 1970: where it is wrong, times are
        set right.
        """
        return await self._take(self._events, request, sent)

    async def queries(self, request: Request, sent: Sent = None) -> Response:
        """Take UBI 1.3 queries of a shop with a search engine of its own; ours logs what it answers."""
        return await self._take(self._queries, request, sent)

    async def changes(self, request: Request) -> Response:
        """Take catalogue changes, in the forms that are read from Kafka; wants a bearer token."""
        if not self._settings.tokens:
            raise Refusal(
                404,
                "changes.off",
                "this collector takes no catalogue changes",
                fix="set `collector.tokens` (HEADRACE_COLLECTOR__TOKENS) for the servers that may write them",
            )
        if not self._is_ours(request):
            self._charge(request, RequestCost(1, 0))
            raise no_token("catalogue changes want a bearer token")
        return await self._take(self._changes, request, None)

    async def _take(self, kind: _Kind, request: Request, sent: int | None) -> Response:
        encoding = request.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise Refusal(
                415, "body.compressed", f"the body is {encoding[:20]!r}", fix="send it uncompressed"
            )
        began, body = perf_counter(), await request.body()
        messages = self._messages(request, body)
        receipt = Receipt(self._clock.now(), None if sent is None else EPOCH + sent * MILLISECOND)
        taken, refused = [], []
        for index, message in enumerate(messages):
            outcome = kind.read(message, receipt)
            if isinstance(outcome, Rejection):
                rejected.labels(kind.name, outcome.reason).inc()
                refused.append(RejectedItem(index=index, **outcome._asdict()))
            else:
                taken.append(outcome)
        if not taken:
            return _none_taken(refused)
        await self._write(taken)
        accepted.labels(kind.name).inc(len(taken))
        seconds.labels(kind.name).observe(perf_counter() - began)
        answer = CollectorAnswer(accepted=len(taken), rejected=tuple(refused))
        return Response(answer.model_dump_json(), 202, NOSNIFF, "application/json")

    def _messages(self, request: Request, body: bytes) -> list[bytes]:
        """Return the messages of a body, once they are counted against the client's rate."""
        try:
            messages = messages_of(body)
        except BodyError as error:
            self._charge(request, RequestCost(1, len(body)))
            raise Refusal(422, "body.invalid", str(error), fix=ONE_OR_MANY) from error
        self._charge(request, RequestCost(len(messages), len(body)))
        if len(messages) > MAX_BATCH:
            raise Refusal(
                413,
                "batch.too_many",
                f"a request has at most {MAX_BATCH} messages",
                fix="send several requests",
            )
        return messages

    def _charge(self, request: Request, cost: RequestCost) -> None:
        """Count it against the client's rate, unless it is one of the shop's own servers."""
        if self._is_ours(request) or request.client is None:
            return
        client = client_of(request.client.host)
        wait = self._allowances.take(client, cost.units, now=self._clock.now())
        if wait > timedelta():
            raise Refusal(
                429,
                "client.too_many",
                f"this address has sent its {self._settings.rate} messages (or KiB) of a minute",
                fix="send them again after `Retry-After` seconds; a server of yours needs a token",
                headers={"Retry-After": str(ceil(wait.total_seconds()))},
            )

    def _is_ours(self, request: Request) -> bool:
        tokens = self._settings.tokens
        return bool(tokens) and authorised(request.headers.get("authorization", ""), tokens)

    async def _write(self, messages: Sequence[Outgoing]) -> None:
        try:
            await self._log.write(messages)
        except TransientError as error:
            raise Refusal(
                503,
                "kafka.away",
                error.explanation,
                fix="send it again after `Retry-After` seconds: an event with an `event_id` counts once",
                headers={"Retry-After": "2"},
            ) from error
        except PoisonError as error:
            raise Refusal(
                422, error.reason, error.explanation, fix="send it smaller, or in several requests"
            ) from error


def _none_taken(refused: Sequence[RejectedItem]) -> Response:
    first = refused[0]
    faults = [
        RequestFault(where=str(item.index), what=f"{item.reason}: {item.explanation}") for item in refused
    ]
    problem = Refusal(
        422,
        "messages.rejected",
        f"none was taken; the first: {first.explanation}",
        fix="`errors` has each by its place",
    )
    return problem.response(faults)


def mount(api: FastAPI, routes: CollectorApi, settings: CollectorSettings, *, host: str) -> None:
    """Add the routes and what stands before them; `host` is where the worker listens."""
    script = PageScript()
    for path, route in (
        ("/events", routes.events),
        ("/queries", routes.queries),
        ("/changes", routes.changes),
    ):
        api.add_api_route(
            path,
            route,
            methods=["POST"],
            status_code=202,
            response_class=Response,
            response_model=None,  # the routes make their answers themselves
            responses=ANSWERS,
        )
    api.add_api_route(script.PATH, script.get, methods=["GET", "HEAD"], include_in_schema=False)
    problems(api)
    limits = RequestLimits(
        paths=GUARDED,
        concurrency=settings.concurrency,
        max_body=settings.max_body,
        smaller="send fewer messages at once",
        per_client=settings.per_client,
        body_within=settings.body_within,
    )
    api.add_middleware(Gate, limits=limits)
    api.add_middleware(CrossOrigin, origins=settings.origins, host=host, paths=FROM_PAGES, refuse=True)
    if settings.proxies:
        api.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.proxies))
