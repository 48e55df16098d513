"""What the API says of itself: OpenAPI with every answer, every problem, and an example of each."""

import json
from typing import Any, NamedTuple

from fastapi import FastAPI
from pydantic import BaseModel

from schemas.fields import FieldsResponse
from schemas.golden import golden
from schemas.search_api import (
    PROBLEM_MEDIA_TYPE,
    Problem,
    ProductResponse,
    SearchableRequest,
    SearchableResponse,
    SearchRequest,
    SearchResponse,
    SimilarRequest,
    WhyResponse,
)

JSON_MEDIA_TYPE = "application/json"
JsonObject = dict[str, Any]  # Any: JSON
UNFIT = "422"

PROBLEMS = {
    400: "The body cannot be read as text",
    401: "A bearer token is missing",
    404: "There is no such product",
    408: "The body came too slowly",
    413: "The body is too large",
    422: "The request does not fit; `errors` says where",
    429: "Too many requests in hand, or of one address; ask again after `Retry-After` seconds",
    500: "The search service failed; its log says why",
    503: "No shard could answer, or no model is loaded yet; ask again after `Retry-After` seconds",
    504: "The query was not embedded in time, or what was `written` is not in the index yet",
}
HEADERS = {
    401: {"WWW-Authenticate": {"description": "`Bearer`", "schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
    503: {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
}
BEARER = {"bearer": {"type": "http", "scheme": "bearer", "description": "Where `search.tokens` are set"}}


class ApiRoute(NamedTuple):
    """One route of the API: what it takes, what it answers, and the problems that can come instead."""

    path: str
    method: str
    answer: type[BaseModel]
    problems: tuple[int, ...]
    request: type[BaseModel] | None = None

    def responses(self) -> dict[int | str, JsonObject]:
        """Return what FastAPI wants to know of the answers."""
        answers: dict[int | str, JsonObject] = {200: {"description": "The answer", "model": self.answer}}
        for status in self.problems:
            headers = HEADERS.get(status, {})
            answers[status] = {"description": PROBLEMS[status], "model": Problem, "headers": headers}
        return answers


ROUTES = {
    "search": ApiRoute(
        "/search",
        "POST",
        SearchResponse,
        (400, 401, 408, 413, 422, 429, 500, 503, 504),
        SearchRequest,
    ),
    "similar": ApiRoute(
        "/similar",
        "POST",
        SearchResponse,
        (400, 401, 404, 408, 413, 422, 429, 500, 503, 504),
        SimilarRequest,
    ),
    "why": ApiRoute("/why", "GET", WhyResponse, (401, 408, 413, 422, 429, 500, 503, 504)),
    "product": ApiRoute(
        "/product/{product_id:path}", "GET", ProductResponse, (401, 404, 408, 413, 422, 429, 500, 503)
    ),
    "fields": ApiRoute("/fields", "GET", FieldsResponse, (401, 408, 413, 422, 429, 500, 503)),
    "searchable": ApiRoute(
        "/written",
        "POST",
        SearchableResponse,
        (400, 401, 408, 413, 422, 429, 500, 503),
        SearchableRequest,
    ),
}
"""By the name of the method of `SearchApi` that answers."""


def describe(api: FastAPI) -> None:
    """Complete what FastAPI says of the routes, whenever it is asked."""
    plain = api.openapi

    def openapi() -> JsonObject:
        document = plain()  # one and the same until a route is added
        document["components"]["securitySchemes"] = BEARER
        for route in ROUTES.values():
            _complete(document["paths"][route.path.replace(":path", "")][route.method.lower()], route)
        return document

    api.openapi = openapi  # type: ignore[method-assign]  # as FastAPI wants it done


def _complete(operation: JsonObject, route: ApiRoute) -> None:
    """Add an example of everything, and say that a problem is no plain JSON; twice is as good as once."""
    operation["security"] = [{"bearer": []}, {}]  # a token, or none where none is wanted
    answers = operation["responses"]
    answers["200"]["content"][JSON_MEDIA_TYPE]["example"] = _example(route.answer)
    for status in route.problems:
        [problem] = answers[str(status)]["content"].values()
        answers[str(status)]["content"] = {PROBLEM_MEDIA_TYPE: problem}
    answers[UNFIT]["content"][PROBLEM_MEDIA_TYPE]["example"] = _example(Problem)
    if route.request is not None:
        operation["requestBody"]["content"][JSON_MEDIA_TYPE]["example"] = _example(route.request)


def _example(kind: type[BaseModel]) -> Any:  # Any: JSON
    return json.loads(golden(f"search_api.{kind.__name__}"))
