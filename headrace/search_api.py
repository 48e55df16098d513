"""The search API alone, without a broker: what `Client` asks it with, and our own workers.

`AsyncSearchClient` is `SearchClient` with `await`. Answers are the models of `schemas.search_api`. What the
API refuses is a `SearchRefusedError`, the same however often it is asked; what may work in a moment is a
`SearchUnavailableError`. Neither client asks twice: when to ask again, and how many questions to have at
once, is for the caller to know. Connections are kept and used again; any number of threads or tasks may
share a client.
"""

from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Self, Unpack

import httpx

from headrace import calls
from headrace.calls import Answer, SearchOptions, SimilarOptions
from headrace.errors import SearchRefusedError, SearchUnavailableError
from schemas.fields import FieldsResponse
from schemas.search_api import Mode, ProductResponse, SearchableResponse, SearchResponse, WhyResponse

__all__ = [
    "AsyncSearchClient",
    "SearchClient",
    "SearchOptions",
    "SearchRefusedError",
    "SearchUnavailableError",
    "SimilarOptions",
]

TIMEOUT = timedelta(seconds=30)
UNKNOWN_PRODUCT = "product.unknown"


class SearchClient:
    """Asks one search API, and waits for it; close it, or use it as a context manager."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        timeout: timedelta = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url
        self._http = httpx.Client(**calls.http_options(url, token, timeout), transport=transport)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def search(self, text: str, **options: Unpack[SearchOptions]) -> SearchResponse:
        """Search by text; raises `SearchRefusedError` or `SearchUnavailableError`."""
        return self._ask(calls.search(text, options))

    def similar(
        self, product_id: str | None = None, *, text: str | None = None, **options: Unpack[SimilarOptions]
    ) -> SearchResponse | None:
        """Find what is near a product or a text; None when there is no such product; raises as `search`."""
        return self._known(calls.similar(product_id, text, options))

    def why(
        self,
        query: str,
        product_id: str,
        *,
        mode: Mode = "hybrid",
        generation: str | None = None,
        depth: int | None = None,
    ) -> WhyResponse:
        """Explain the rank or the absence of a product in the answer to a query; raises as `search`."""
        return self._ask(calls.why(query, product_id, mode=mode, generation=generation, depth=depth))

    def product(self, product_id: str, *, generation: str | None = None) -> ProductResponse | None:
        """Return a product as the index has it; None when it is not there; raises as `search`."""
        return self._known(calls.product(product_id, generation))

    def fields(self, *, generation: str | None = None) -> FieldsResponse:
        """Return every attribute that a product has, by name; raises as `search`."""
        return self._ask(calls.fields(generation))

    def searchable(self, offsets: Mapping[int, int], *, timeout: timedelta) -> SearchableResponse:
        """Wait for what lies below these offsets of the catalogue's changes; raises as `search`."""
        return self._ask(calls.searchable(offsets, timeout))

    def _ask(self, call: calls.Call[Answer]) -> Answer:
        try:
            response = self._http.request(call.method, call.path, **call.content)
        except httpx.HTTPError as error:
            raise calls.no_answer(self.url, error) from error
        return calls.read(call, response)

    def _known(self, call: calls.Call[Answer]) -> Answer | None:
        try:
            return self._ask(call)
        except SearchRefusedError as refusal:
            if refusal.reason == UNKNOWN_PRODUCT:
                return None
            raise


class AsyncSearchClient:
    """Asks one search API from an event loop; close it, or use it with `async with`."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        timeout: timedelta = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url
        self._http = httpx.AsyncClient(**calls.http_options(url, token, timeout), transport=transport)

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def search(self, text: str, **options: Unpack[SearchOptions]) -> SearchResponse:
        """Search by text; raises `SearchRefusedError` or `SearchUnavailableError`."""
        return await self._ask(calls.search(text, options))

    async def similar(
        self, product_id: str | None = None, *, text: str | None = None, **options: Unpack[SimilarOptions]
    ) -> SearchResponse | None:
        """Find what is near a product or a text; None when there is no such product; raises as `search`."""
        return await self._known(calls.similar(product_id, text, options))

    async def why(
        self,
        query: str,
        product_id: str,
        *,
        mode: Mode = "hybrid",
        generation: str | None = None,
        depth: int | None = None,
    ) -> WhyResponse:
        """Explain the rank or the absence of a product in the answer to a query; raises as `search`."""
        return await self._ask(calls.why(query, product_id, mode=mode, generation=generation, depth=depth))

    async def product(self, product_id: str, *, generation: str | None = None) -> ProductResponse | None:
        """Return a product as the index has it; None when it is not there; raises as `search`."""
        return await self._known(calls.product(product_id, generation))

    async def fields(self, *, generation: str | None = None) -> FieldsResponse:
        """Return every attribute that a product has, by name; raises as `search`."""
        return await self._ask(calls.fields(generation))

    async def searchable(self, offsets: Mapping[int, int], *, timeout: timedelta) -> SearchableResponse:
        """Wait for what lies below these offsets of the catalogue's changes; raises as `search`."""
        return await self._ask(calls.searchable(offsets, timeout))

    async def _ask(self, call: calls.Call[Answer]) -> Answer:
        try:
            response = await self._http.request(call.method, call.path, **call.content)
        except httpx.HTTPError as error:
            raise calls.no_answer(self.url, error) from error
        return calls.read(call, response)

    async def _known(self, call: calls.Call[Answer]) -> Answer | None:
        try:
            return await self._ask(call)
        except SearchRefusedError as refusal:
            if refusal.reason == UNKNOWN_PRODUCT:
                return None
            raise
