"""Asks the search API what a shopper would see, without leaving a trace in the query log."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import httpx
from pydantic import BaseModel, ValidationError

from schemas.judgements import Canary
from shared.errors import TransientError

BUSY = 429
REFUSALS = (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY)
PATIENCE = 3
"""Times a canary is asked again when search is busy."""
PAUSE = timedelta(milliseconds=250)
MAX_REASON = 200
STARTED = "process_start_time_seconds "


class SearchFailedError(TransientError):
    """The search could not be made; the message says why in a few words."""


class CanaryRefusedError(SearchFailedError):
    """Search works, but takes this canary for no search; the canary must be changed."""


class _Hit(BaseModel):
    product_id: str


class _Problem(BaseModel):
    detail: str


class _Found(BaseModel):
    hits: tuple[_Hit, ...]
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Ranked product ids; `partial` when a shard did not take part."""

    product_ids: tuple[str, ...]
    partial: bool


class SearchClient:
    """`POST /search`, a bounded number at a time, each within a deadline."""

    def __init__(self, url: str, *, token: str = "", timeout: timedelta, concurrency: int) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=timeout.total_seconds(), trust_env=False
        )
        self._seats = asyncio.Semaphore(concurrency)

    async def start(self) -> None:
        """Nothing to prepare: connections are made when needed."""

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask_all(
        self, canaries: Sequence[Canary], *, generation: str
    ) -> list[Answer | SearchFailedError]:
        """Ask every canary; one result each, in order, a failure in its place."""
        return await asyncio.gather(*(self._attempt(canary, generation) for canary in canaries))

    async def ask(self, canary: Canary, *, generation: str) -> Answer:
        """Ask one canary of one generation; raises `SearchFailedError`."""
        body = {"text": canary.query, "k": canary.k, "generation": generation, "log": False, "fields": []}
        async with self._seats:
            response = await self._post(body)
        if response.status_code in REFUSALS:
            raise CanaryRefusedError(_detail(response))
        if response.status_code != httpx.codes.OK:
            raise SearchFailedError(f"HTTP {response.status_code}: {_detail(response)}")
        try:
            found = _Found.model_validate_json(response.content)
        except ValidationError as error:
            raise SearchFailedError(
                f"the answer is not a search answer: {error.errors()[0]['msg']}"
            ) from error
        return Answer(tuple(hit.product_id for hit in found.hits), found.partial)

    async def recall(self, text: str, *, generation: str, k: int = 10) -> tuple[int, int]:
        """Return how many of an exact scan's best `k` the index finds too, and of how many.

        Raises `SearchFailedError`.
        """
        body = {"text": text, "k": k, "generation": generation, "log": False, "fields": [], "mode": "dense"}
        found = [await self._found(body), await self._found({**body, "exact": True})]
        index, exact = ({hit.product_id for hit in each.hits} for each in found)
        return (0, 0) if any(each.partial for each in found) else (len(index & exact), len(exact))

    async def started(self) -> str | None:
        """Return when the search process was started, as its metrics tell it; None: they do not."""
        try:
            response = await self._client.get("/metrics")
        except httpx.HTTPError:
            return None
        lines = response.text.splitlines() if response.status_code == httpx.codes.OK else []
        return next((line.split()[1] for line in lines if line.startswith(STARTED)), None)

    async def _found(self, body: dict[str, object]) -> _Found:
        async with self._seats:
            response = await self._post(body)
        try:
            return _Found.model_validate_json(response.raise_for_status().content)
        except (httpx.HTTPStatusError, ValidationError) as error:
            raise SearchFailedError(f"a probe failed: {error}"[:MAX_REASON]) from error

    async def _attempt(self, canary: Canary, generation: str) -> Answer | SearchFailedError:
        try:
            return await self.ask(canary, generation=generation)
        except SearchFailedError as error:
            return error

    async def _post(self, body: dict[str, object]) -> httpx.Response:
        for attempt in range(1, PATIENCE + 1):
            try:
                response = await self._client.post("/search", json=body)
            except httpx.TimeoutException as error:
                raise SearchFailedError("no answer within the time limit") from error
            except httpx.HTTPError as error:
                raise SearchFailedError(f"{type(error).__name__}: {error}"[:MAX_REASON]) from error
            if response.status_code != BUSY or attempt == PATIENCE:
                break
            await asyncio.sleep(attempt * PAUSE.total_seconds())
        return response


def _detail(response: httpx.Response) -> str:
    """Return what an error says for people: the `detail` of a problem (RFC 9457), else the body."""
    try:
        return _Problem.model_validate_json(response.content).detail[:MAX_REASON]
    except ValidationError:
        return response.text[:MAX_REASON]
