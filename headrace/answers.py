"""An answer of the search that knows who asked: what the shopper does with it names the query by itself."""

from collections.abc import Awaitable, Callable
from typing import Unpack

from pydantic import PrivateAttr

from headrace.events import EventOptions
from schemas.search import SearchEvent
from schemas.search_api import SearchHit, SearchResponse
from shared.errors import ConfigurationError

IDS = ("client_id", "session_id", "user_id", "application")
"""Of a search, what its events have alike."""


class _AnswerToShopper(SearchResponse):
    """What both kinds of answer have in common."""

    _asked_by: EventOptions = PrivateAttr(default_factory=EventOptions)

    @property
    def asked_by(self) -> EventOptions:
        """The ids that the search had, which its events have too."""
        return self._asked_by

    def _options(self, product: str | SearchHit, options: EventOptions) -> EventOptions:
        product_id = product if isinstance(product, str) else product.product_id
        ranks = (hit.rank for hit in self.hits if hit.product_id == product_id)
        position = options.get("position") or next(ranks, None)
        if position is None:
            raise ConfigurationError(
                f"{product_id} is none of the {len(self.hits)} products of this answer: give its position, "
                "or say it by `event` with the query id of the answer that showed it"
            )
        shown: EventOptions = {"query_id": self.query_id, "product_id": product_id, "position": position}
        return {**self._asked_by, **options, **shown}


class Answer(_AnswerToShopper):
    """What a search found, with what the shopper does about it; `query_id` may be kept for later."""

    _send: Callable[..., SearchEvent] = PrivateAttr()

    @classmethod
    def of(
        cls, response: SearchResponse, asked_by: EventOptions, send: Callable[..., SearchEvent]
    ) -> "Answer":
        """Return the answer whose events are written by `send`."""
        answer = cls.model_construct(**dict(response))
        answer._asked_by, answer._send = asked_by, send  # noqa: SLF001 - of this class
        return answer

    def event(self, action: str, product: str | SearchHit, **options: Unpack[EventOptions]) -> SearchEvent:
        """Write what the shopper did with a product of this answer; raises as `Client.event`."""
        return self._send(action, **self._options(product, options))

    def click(self, product: str | SearchHit) -> SearchEvent:
        """Write a click; raises as `Client.event`."""
        return self.event("click", product)

    def add_to_cart(self, product: str | SearchHit) -> SearchEvent:
        """Write that it went into the cart; raises as `Client.event`."""
        return self.event("add_to_cart", product)

    def purchase(self, product: str | SearchHit) -> SearchEvent:
        """Write that it was bought; raises as `Client.event`."""
        return self.event("purchase", product)


class AsyncAnswer(_AnswerToShopper):
    """`Answer`, for an event loop."""

    _send: Callable[..., Awaitable[SearchEvent]] = PrivateAttr()

    @classmethod
    def of(
        cls, response: SearchResponse, asked_by: EventOptions, send: Callable[..., Awaitable[SearchEvent]]
    ) -> "AsyncAnswer":
        """Return the answer whose events are written by `send`."""
        answer = cls.model_construct(**dict(response))
        answer._asked_by, answer._send = asked_by, send  # noqa: SLF001 - of this class
        return answer

    async def event(
        self, action: str, product: str | SearchHit, **options: Unpack[EventOptions]
    ) -> SearchEvent:
        """Write what the shopper did with a product of this answer; raises as `AsyncClient.event`."""
        return await self._send(action, **self._options(product, options))

    async def click(self, product: str | SearchHit) -> SearchEvent:
        """Write a click; raises as `AsyncClient.event`."""
        return await self.event("click", product)

    async def add_to_cart(self, product: str | SearchHit) -> SearchEvent:
        """Write that it went into the cart; raises as `AsyncClient.event`."""
        return await self.event("add_to_cart", product)

    async def purchase(self, product: str | SearchHit) -> SearchEvent:
        """Write that it was bought; raises as `AsyncClient.event`."""
        return await self.event("purchase", product)
