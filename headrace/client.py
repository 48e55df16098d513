"""`Client`: publish, search, tell what shoppers did, read what comes of it; each call waits for its end.

What it does is `AsyncClient`'s doing, on an event loop in a thread of its own.
"""

import atexit
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack
from weakref import ref

from headrace.answers import Answer
from headrace.asynchronous import SEARCHABLE_WITHIN, TIMEOUT, WRITTEN_WITHIN, AsyncClient
from headrace.calls import SearchOptions, SimilarOptions
from headrace.changes import Change, WriteReceipt, portions
from headrace.errors import ChangeRefusedError, NotWrittenError
from headrace.events import EventOptions
from headrace.loop_thread import LoopThread, Stream
from schemas.alerts import Alert
from schemas.base import Message
from schemas.control import Model
from schemas.fields import FieldsResponse
from schemas.judgements import Judgement
from schemas.search import SearchEvent
from schemas.search_api import Mode, ProductResponse, SearchResponse, WhyResponse
from shared.settings import KafkaSecurity

if TYPE_CHECKING:
    from headrace.streams import Since

M = TypeVar("M", bound=Message)


class Client:
    """One installation; connects when something is asked of it. Close it, or use it as a context manager.

    Its arguments are those of `AsyncClient`. Any number of threads may share a client; a process that is
    forked makes its own.

    >>> with Client() as shop:
    ...     written = shop.upsert("MUG-1", {"title": "Blue enamel mug", "price": 12.5})
    ...     answer = shop.search("enamel mug", after=written)
    ...     answer.hits[0].product_id
    'MUG-1'
    """

    def __init__(  # noqa: PLR0913 - an address has parts
        self,
        brokers: str | None = None,
        search: str | None = None,
        *,
        token: str | None = None,
        security: KafkaSecurity | Mapping[str, object] | None = None,
        topic_prefix: str | None = None,
        timeout: timedelta = TIMEOUT,
    ) -> None:
        self._client = AsyncClient(
            brokers, search, token=token, security=security, topic_prefix=topic_prefix, timeout=timeout
        )
        self.installation = self._client.installation
        self._thread = LoopThread()
        atexit.register(_close, ref(self))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        self.close()

    def close(self) -> None:
        """Disconnect; streams end. Twice is as good as once."""
        if self._thread.alive:
            self._thread.run(self._client.close())
            self._thread.close()

    def upsert(
        self,
        product_id: str,
        fields: Mapping[str, object],
        *,
        version: int | None = None,
        event_time: datetime | None = None,
        kept: Sequence[str] = (),
    ) -> WriteReceipt:
        """Write a product whole; see `AsyncClient.upsert`.

        >>> with Client() as shop:
        ...     shop.upsert("MUG-2", {"title": "Red mug", "price": 9.0}, version=1).changes
        1
        """
        return self._thread.run(
            self._client.upsert(product_id, fields, version=version, event_time=event_time, kept=kept)
        )

    def patch(
        self,
        product_id: str,
        fields: Mapping[str, object],
        *,
        version: int | None = None,
        event_time: datetime | None = None,
    ) -> WriteReceipt:
        """Write some attributes of a product; see `AsyncClient.patch`.

        >>> with Client() as shop:
        ...     whole = shop.upsert("MUG-3", {"title": "Green mug", "price": 9.0}, version=1)
        ...     shop.wait_searchable(shop.patch("MUG-3", {"price": 8.5}, version=2))
        ...     shop.product("MUG-3").fields["price"]
        8.5
        """
        return self._thread.run(
            self._client.patch(product_id, fields, version=version, event_time=event_time)
        )

    def delete(
        self, product_id: str, *, version: int | None = None, event_time: datetime | None = None
    ) -> WriteReceipt:
        """Take a product out of the catalogue; see `AsyncClient.delete`.

        >>> with Client() as shop:
        ...     shop.wait_searchable(shop.delete("MUG-2", version=3))
        ...     shop.product("MUG-2") is None
        True
        """
        return self._thread.run(self._client.delete(product_id, version=version, event_time=event_time))

    def publish(self, changes: Iterable[Change], *, timeout: timedelta = WRITTEN_WITHIN) -> WriteReceipt:
        """Write changes as they come, in order, all acknowledged; see `AsyncClient.publish`.

        >>> def changes():
        ...     for number in range(2500):
        ...         fields = {"title": f"Plate number {number}"}
        ...         yield {"product_id": f"PLATE-{number}", "op": "upsert", "version": 1, "fields": fields}
        >>> with Client() as shop:
        ...     shop.publish(changes()).changes
        2500
        >>> with Client() as shop:
        ...     shop.publish([{"product_id": "PLATE-0", "op": "replace", "fields": {}}])
        Traceback (most recent call last):
        headrace.errors.ChangeRefusedError: change 0 (PLATE-0): op.unknown: ...
        """
        receipt = WriteReceipt()
        try:
            for portion in portions(changes):  # in the caller's thread, to which a cursor may belong
                receipt = receipt | self._thread.run(self._client.write_portion(portion, timeout=timeout))
        except (ChangeRefusedError, NotWrittenError) as error:
            error.written, error.offsets = receipt.changes, receipt.offsets
            raise
        return receipt

    def wait_searchable(self, receipt: WriteReceipt, *, timeout: timedelta = SEARCHABLE_WITHIN) -> None:
        """Return when every search finds what was written; see `AsyncClient.wait_searchable`.

        >>> with Client() as shop:
        ...     shop.wait_searchable(shop.upsert("BOWL-1", {"title": "Oak bowl"}))
        ...     shop.product("BOWL-1").fields["title"]
        'Oak bowl'
        """
        self._thread.run(self._client.wait_searchable(receipt, timeout=timeout))

    def search(
        self, text: str, *, after: WriteReceipt | None = None, **options: Unpack[SearchOptions]
    ) -> Answer:
        """Search by text, `after` what was written is searchable; see `AsyncClient.search`.

        >>> with Client() as shop:
        ...     written = shop.upsert("MUG-5", {"title": "Blue mug"})
        ...     answer = shop.search("blue mug", k=3, client_id="visitor-7", after=written)
        ...     event = answer.click(answer.hits[0])
        ...     event.query_id == answer.query_id, event.client_id, event.event_attributes.position.ordinal
        (True, 'visitor-7', 1)
        """
        answer = self._thread.run(self._client.search(text, after=after, **options))
        return Answer.of(answer, answer.asked_by, self.event)

    def similar(
        self, product_id: str | None = None, *, text: str | None = None, **options: Unpack[SimilarOptions]
    ) -> SearchResponse | None:
        """Find what is near a product or a text; None when there is no such product; raises as `search`."""
        return self._thread.run(self._client.similar(product_id, text=text, **options))

    def why(self, query: str, product_id: str, *, mode: Mode = "hybrid") -> WhyResponse:
        """Explain the rank or the absence of a product in the answer to a query; raises as `search`."""
        return self._thread.run(self._client.why(query, product_id, mode=mode))

    def product(self, product_id: str) -> ProductResponse | None:
        """Return a product as the index has it; None when it is not there; raises as `search`."""
        return self._thread.run(self._client.product(product_id))

    def fields(self) -> FieldsResponse:
        """Return every attribute that a product has, by name; raises as `search`."""
        return self._thread.run(self._client.fields())

    def event(self, action: str, **options: Unpack[EventOptions]) -> SearchEvent:
        """Write one action of a shopper, acknowledged; see `AsyncClient.event`.

        A purchase days later names the query that showed the product:

        >>> with Client() as shop:
        ...     query_id = shop.search("blue mug", client_id="visitor-8").query_id
        ...     event = shop.event("purchase", product_id="MUG-1", query_id=query_id, client_id="visitor-8")
        """
        return self._thread.run(self._client.event(action, **options))

    def shopper(
        self, client_id: str | None = None, *, session_id: str | None = None, user_id: str | None = None
    ) -> "Shopper":
        """Return who searches and acts under these ids: one a request, in a shop with many shoppers.

        >>> with Client() as shop:
        ...     written = shop.upsert("MUG-4", {"title": "Yellow mug"})
        ...     shopper = shop.shopper("visitor-9", session_id="session-1")
        ...     shopper.search("yellow mug", after=written).click("MUG-4").session_id
        'session-1'
        """
        return Shopper(self, {"client_id": client_id, "session_id": session_id, "user_id": user_id})

    def alerts(
        self, *, since: "Since" = "beginning", follow: bool = True, patience: timedelta | None = None
    ) -> Stream[Alert]:
        """Return the stream of what breaks, drifts and is mended; see `stream`.

        >>> with Client() as shop:
        ...     for entry in shop.alerts(follow=False):
        ...         alert = entry.message
        ...         line = f"{alert.severity} {alert.alert_key}: {alert.summary}; {alert.action}"
        """
        return self.stream(Alert, since=since, follow=follow, patience=patience)

    def judgements(
        self, *, since: "Since" = "beginning", follow: bool = True, patience: timedelta | None = None
    ) -> Stream[Judgement]:
        """Return the stream of what shoppers think of products for queries; see `stream`.

        >>> grades = {}
        >>> with Client() as shop:
        ...     for entry in shop.judgements(follow=False):
        ...         if entry.removed:
        ...             grades.pop(entry.key, None)
        ...         else:
        ...             grades[entry.key] = entry.message.grade
        """
        return self.stream(Judgement, since=since, follow=follow, patience=patience)

    def models(
        self, *, since: "Since" = "beginning", follow: bool = True, patience: timedelta | None = None
    ) -> Stream[Model]:
        """Return the stream of models that were built and judged; see `stream`."""
        return self.stream(Model, since=since, follow=follow, patience=patience)

    def stream(
        self,
        kind: type[M],
        *,
        since: "Since" = "beginning",
        follow: bool = True,
        patience: timedelta | None = None,
    ) -> Stream[M]:
        """Return the stream of any message of `schemas.topics`; see `AsyncClient.stream`."""
        return Stream(self._client.stream(kind, since=since, follow=follow, patience=patience), self._thread)


def _close(client: "ref[Client]") -> None:
    """Close a client that nobody closed, when the process ends."""
    if (left := client()) is not None:
        left.close()


class Shopper:
    """Who searches and acts: the ids are sent with everything."""

    def __init__(self, client: Client, ids: EventOptions) -> None:
        self._client = client
        self._ids = ids

    def search(
        self, text: str, *, after: WriteReceipt | None = None, **options: Unpack[SearchOptions]
    ) -> Answer:
        """Search as this shopper; see `Client.search`."""
        named: SearchOptions = {**self._ids, **options}  # type: ignore[typeddict-unknown-key]  # none: both have them
        return self._client.search(text, after=after, **named)

    def event(self, action: str, **options: Unpack[EventOptions]) -> SearchEvent:
        """Write what this shopper did; see `Client.event`."""
        named: EventOptions = {**self._ids, **options}
        return self._client.event(action, **named)
