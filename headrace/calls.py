"""What is sent to the search API and how its answers are read, whoever carries it there and back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypedDict, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from headrace.errors import SearchRefusedError, SearchUnavailableError
from schemas.base import in_path
from schemas.fields import FieldsResponse
from schemas.filters import Filter
from schemas.search_api import (
    Fusion,
    Mode,
    Problem,
    ProductResponse,
    SearchableRequest,
    SearchableResponse,
    SearchRequest,
    SearchResponse,
    SimilarRequest,
    WhyResponse,
)
from shared.errors import ConfigurationError
from shared.patience import ANSWER_SECONDS

MAX_TEXT = 300
"""Characters of an answer that is no problem of ours, as an error quotes it."""
JSON_TYPE = {"Content-Type": "application/json"}
TRANSIENT = {408, 425, 429}
"""Beside every status from 500 on."""
START_ONE = "start one with `headrace up`, or give its address"
ASK_AGAIN = "ask again in a moment"
WAITS_AT_MOST = timedelta(seconds=20)
"""Of one question; the API takes a little more, and proxies cut what is silent for half a minute."""

Answer = TypeVar("Answer", bound=BaseModel)


class SimilarOptions(TypedDict, total=False):
    """What every kind of search may say beside its subject; see `schemas.search_api`."""

    k: int
    filters: Sequence[Filter | Mapping[str, object]]
    generation: str | None
    exact: bool
    min_offsets: Mapping[int, int] | None
    written: Mapping[int, int] | None
    timeout_ms: int | None
    fields: Sequence[str] | None


class SearchOptions(SimilarOptions, total=False):
    """What a search by text may say beside the text."""

    mode: Mode
    fusion: Fusion | None
    reranker: bool
    query_id: str | None
    application: str | None
    session_id: str | None
    client_id: str | None
    user_id: str | None
    log: bool


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One question: how it is sent, and what its answer is."""

    method: str
    path: str
    content: dict[str, Any]  # Any: as httpx has it
    answer: type[Answer]


def search(text: str, options: SearchOptions) -> Call[SearchResponse]:
    """Return the question of `POST /search`; raises `SearchRefusedError` when it cannot be one."""
    return _posted("/search", lambda: SearchRequest.model_validate({"text": text, **options}), SearchResponse)


def similar(product_id: str | None, text: str | None, options: SimilarOptions) -> Call[SearchResponse]:
    """Return the question of `POST /similar`; raises `SearchRefusedError` when it cannot be one."""
    subject = {"product_id": product_id, "text": text}
    return _posted("/similar", lambda: SimilarRequest.model_validate({**subject, **options}), SearchResponse)


def searchable(offsets: Mapping[int, int], timeout: timedelta) -> Call[SearchableResponse]:
    """Return the question of `POST /written`; raises `SearchRefusedError` when it cannot be one."""
    milliseconds = max(1, int(min(timeout, WAITS_AT_MOST) / timedelta(milliseconds=1)))
    subject = {"offsets": dict(offsets), "timeout_ms": milliseconds}
    call = _posted("/written", lambda: SearchableRequest.model_validate(subject), SearchableResponse)
    call.content["timeout"] = milliseconds / 1000 + ANSWER_SECONDS
    return call


def _posted(path: str, request: Callable[[], BaseModel], answer: type[Answer]) -> Call[Answer]:
    try:
        body = request().model_dump_json(exclude_unset=True)
    except ValidationError as error:  # told here as the API would tell it
        faults = error.errors(include_url=False, include_input=False)
        detail = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in faults
        )
        raise SearchRefusedError(_problem(422, detail, code="request.invalid")) from error
    return Call("POST", path, {"content": body, "headers": JSON_TYPE}, answer)


def why(query: str, product_id: str, **options: object) -> Call[WhyResponse]:
    """Return the question of `GET /why`."""
    chosen = {name: value for name, value in options.items() if value is not None}
    return Call("GET", "/why", {"params": {"query": query, "product_id": product_id, **chosen}}, WhyResponse)


def product(product_id: str, generation: str | None) -> Call[ProductResponse]:
    """Return the question of `GET /product/{id}`."""
    params = {} if generation is None else {"generation": generation}
    return Call("GET", f"/product/{in_path(product_id)}", {"params": params}, ProductResponse)


def fields(generation: str | None) -> Call[FieldsResponse]:
    """Return the question of `GET /fields`."""
    params = {} if generation is None else {"generation": generation}
    return Call("GET", "/fields", {"params": params}, FieldsResponse)


def http_options(url: str, token: str, timeout: timedelta) -> dict[str, Any]:  # Any: as httpx has it
    """Return the options of an httpx client; raises `ConfigurationError` when the address is none."""
    try:
        scheme = httpx.URL(url).scheme
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{url} is not an address: {error}") from error
    if scheme not in {"http", "https"}:
        raise ConfigurationError(f"{url} is not an address: write http://HOST:PORT")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    seconds = timeout.total_seconds()
    limits = httpx.Timeout(seconds, connect=min(seconds, ANSWER_SECONDS))
    return {"base_url": url, "headers": headers, "timeout": limits, "trust_env": False}


def no_answer(url: str, error: httpx.HTTPError) -> SearchUnavailableError:
    """Return what it means that no answer came."""
    if isinstance(error, httpx.TimeoutException):
        return SearchUnavailableError("timeout", f"{url} did not answer within the time limit", fix=ASK_AGAIN)
    detail = f"no search API at {url}: {type(error).__name__}: {error}"
    return SearchUnavailableError("unreachable", detail, fix=START_ONE)


def read(call: Call[Answer], response: httpx.Response) -> Answer:
    """Return the answer; raises `SearchRefusedError` or `SearchUnavailableError`."""
    if not response.is_success:
        raise _refused(response)
    try:
        return call.answer.model_validate_json(response.content)
    except ValidationError as error:
        [fault, *_] = error.errors(include_url=False, include_input=False)
        where = ".".join(map(str, fault["loc"]))
        raise SearchUnavailableError(
            "contract.broken",
            f"the answer of {response.url} is none of this version's: {where}: {fault['msg']}",
            fix="ask a search API, of the version of this client",
            status=response.status_code,
        ) from error


def _refused(response: httpx.Response) -> SearchRefusedError | SearchUnavailableError:
    status = response.status_code
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:  # of something between us and the API
        detail = f"HTTP {status} from {response.url}: {response.text[:MAX_TEXT]}"
        problem = _problem(status, detail, code=f"http.{status}")
    if status in TRANSIENT or status >= 500:
        return SearchUnavailableError(problem.title, problem.detail, fix=problem.fix, status=status)
    return SearchRefusedError(problem)


def _problem(status: int, detail: str, *, code: str) -> Problem:
    fix = ASK_AGAIN if status >= 500 or status in TRANSIENT else "send what GET /openapi.json describes"
    return Problem(type=f"urn:headrace:problem:{code}", title=code, status=status, detail=detail, fix=fix)
