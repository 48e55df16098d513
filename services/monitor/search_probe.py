"""Asks the search API what a shopper would see, without leaving a trace in the query log."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import httpx

from headrace.search_api import AsyncSearchClient, SearchOptions, SearchRefusedError, SearchUnavailableError
from schemas.judgements import Canary
from schemas.search_api import SearchResponse
from shared.errors import TransientError

BUSY = 429
REFUSALS = (400, 422)
"""Statuses by which search takes a text for no query; by any other it refuses whoever asks."""
NOT_SERVED = "generation.unknown"
"""The refusal of a generation: it is no fault of a query."""
PATIENCE = 3
"""Times a canary is asked again when search is busy."""
PAUSE = timedelta(milliseconds=250)
MAX_REASON = 200
STARTED = "process_start_time_seconds "


class SearchFailedError(TransientError):
    """The search could not be made; the message says why in a few words."""


class CanaryRefusedError(SearchFailedError):
    """Search works, but takes this canary for no search; the canary must be changed."""


@dataclass(frozen=True, slots=True)
class CanaryAnswer:
    """Ranked product ids; `partial` when a shard did not take part."""

    product_ids: tuple[str, ...]
    partial: bool


class SearchProbe:
    """Searches, a bounded number at a time, each within a deadline."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        timeout: timedelta,
        concurrency: int,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._client = AsyncSearchClient(url, token=token, timeout=timeout, transport=transport)
        self._metrics = httpx.AsyncClient(
            base_url=url, timeout=timeout.total_seconds(), transport=transport, trust_env=False
        )
        self._seats = asyncio.Semaphore(concurrency)

    async def start(self) -> None:
        """Nothing to prepare: connections are made when needed."""

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.close()
        await self._metrics.aclose()

    async def ask_all(
        self, canaries: Sequence[Canary], *, generation: str
    ) -> list[CanaryAnswer | SearchFailedError]:
        """Ask every canary; one result each, in order, a failure in its place."""
        return await asyncio.gather(*(self._attempt(canary, generation) for canary in canaries))

    async def ask(self, canary: Canary, *, generation: str) -> CanaryAnswer:
        """Ask one canary of one generation; raises `SearchFailedError`."""
        options = _options(k=canary.k, generation=generation)
        answer = await self._search(canary.query, options)
        return CanaryAnswer(_product_ids(answer), answer.partial)

    async def recall(self, text: str, *, generation: str, k: int = 10) -> tuple[int, int]:
        """Return how many of an exact scan's best `k` the index finds too, and of how many.

        Raises `SearchFailedError`.
        """
        options = _options(k=k, generation=generation)
        index = await self._search(text, {**options, "mode": "dense"})
        exact = await self._search(text, {**options, "mode": "dense", "exact": True})
        if index.partial or exact.partial:
            return 0, 0
        best = set(_product_ids(exact))
        return len(best.intersection(_product_ids(index))), len(best)

    async def started(self) -> str | None:
        """Return when the search process was started, as its metrics tell it; None: they do not."""
        try:
            response = await self._metrics.get("/metrics")
        except httpx.HTTPError:
            return None
        lines = response.text.splitlines() if response.status_code == httpx.codes.OK else []
        return next((line.split()[1] for line in lines if line.startswith(STARTED)), None)

    async def _attempt(self, canary: Canary, generation: str) -> CanaryAnswer | SearchFailedError:
        try:
            return await self.ask(canary, generation=generation)
        except SearchFailedError as error:
            return error

    async def _search(self, text: str, options: SearchOptions) -> SearchResponse:
        async with self._seats:
            try:
                return await self._ask_when_busy_again(text, options)
            except SearchRefusedError as refusal:
                of_query = refusal.status in REFUSALS and refusal.reason != NOT_SERVED
                kind = CanaryRefusedError if of_query else SearchFailedError
                raise kind(refusal.detail[:MAX_REASON]) from refusal
            except SearchUnavailableError as error:
                status = f"HTTP {error.status}: " if error.status else ""
                raise SearchFailedError(f"{status}{error.detail}"[:MAX_REASON]) from error

    async def _ask_when_busy_again(self, text: str, options: SearchOptions) -> SearchResponse:
        for attempt in range(1, PATIENCE):
            try:
                return await self._client.search(text, **options)
            except SearchUnavailableError as error:
                if error.status != BUSY:
                    raise
            await asyncio.sleep(attempt * PAUSE.total_seconds())
        return await self._client.search(text, **options)


def _options(*, k: int, generation: str) -> SearchOptions:
    return {"k": k, "generation": generation, "log": False, "fields": ()}


def _product_ids(answer: SearchResponse) -> tuple[str, ...]:
    return tuple(hit.product_id for hit in answer.hits)
