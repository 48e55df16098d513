"""`AsyncClient`: publish, search, tell what shoppers did, read what comes of it, from an event loop."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack
from weakref import WeakSet

from headrace import installation
from headrace.answers import IDS, AsyncAnswer
from headrace.calls import SearchOptions, SimilarOptions
from headrace.changes import Change, ChangePortion, WriteReceipt, portions
from headrace.errors import ChangeRefusedError, NotSearchableError, NotWrittenError, SearchUnavailableError
from headrace.events import EventOptions, event, message
from headrace.search_api import AsyncSearchClient
from schemas.alerts import Alert
from schemas.base import Message
from schemas.control import Model
from schemas.fields import FieldsResponse
from schemas.judgements import Judgement
from schemas.search import SearchEvent
from schemas.search_api import Mode, ProductResponse, SearchableResponse, SearchResponse, WhyResponse
from shared.errors import ConfigurationError
from shared.patience import ANSWER_SECONDS
from shared.records import Outgoing
from shared.settings import KafkaSecurity

if TYPE_CHECKING:
    from headrace.bus import Bus
    from headrace.streams import AsyncStream, Since

M = TypeVar("M", bound=Message)
TIMEOUT = timedelta(seconds=ANSWER_SECONDS)
WRITTEN_WITHIN = timedelta(minutes=1)
SEARCHABLE_WITHIN = timedelta(seconds=30)
PAUSE = timedelta(milliseconds=500)
NOT_READY = {429, 503}


class AsyncClient:
    """One installation; connects when something is asked of it. Close it, or use it with `async with`.

    Without arguments it is the one of the settings (`HEADRACE_...`, `headrace.toml`), else the one that
    `headrace up` or `headrace demo` runs on this machine. `brokers` are `host:port`, separated by commas;
    `security` is a `KafkaSecurity` or a mapping of its fields; `search` is the URL of the search API, `token`
    its bearer token. `timeout` is for one answer of the search API. Any number of tasks of one event loop may
    share a client.
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
        self.installation = installation.find(
            brokers=brokers, search=search, token=token, security=security, topic_prefix=topic_prefix
        )
        self._search = AsyncSearchClient(
            self.installation.search, token=self.installation.token, timeout=timeout
        )
        self._bus: Bus | None = None
        self._streams: WeakSet[AsyncStream[Any]] = WeakSet()  # Any: of several kinds

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self.close()

    async def close(self) -> None:
        """Disconnect; streams end."""
        for stream in list(self._streams):
            await stream.close()
        if self._bus is not None:
            await self._bus.close()
        await self._search.close()

    async def upsert(
        self,
        product_id: str,
        fields: Mapping[str, object],
        *,
        version: int | None = None,
        event_time: datetime | None = None,
        kept: Sequence[str] = (),
    ) -> WriteReceipt:
        """Write a product whole; of its versions the highest counts, without one what is written last.

        `kept` names attributes that stay as they are. Raises as `publish`.
        """
        change = {"product_id": product_id, "op": "upsert", "version": version, "event_time": event_time}
        return await self.publish([{**change, "fields": fields, "kept": list(kept)}])

    async def patch(
        self,
        product_id: str,
        fields: Mapping[str, object],
        *,
        version: int | None = None,
        event_time: datetime | None = None,
    ) -> WriteReceipt:
        """Write some attributes of a product; None takes one away. Raises as `publish`."""
        change = {"product_id": product_id, "op": "patch", "version": version, "event_time": event_time}
        return await self.publish([{**change, "fields": fields}])

    async def delete(
        self, product_id: str, *, version: int | None = None, event_time: datetime | None = None
    ) -> WriteReceipt:
        """Take a product out of the catalogue; raises as `publish`."""
        change = {"product_id": product_id, "op": "delete", "version": version, "event_time": event_time}
        return await self.publish([change])

    async def publish(
        self, changes: Iterable[Change] | AsyncIterable[Change], *, timeout: timedelta = WRITTEN_WITHIN
    ) -> WriteReceipt:
        """Write changes in order; returns when all replicas have them. A few are in memory at a time.

        Each is checked as the embedder will read it, those of a list or tuple before the first is sent.
        Raises `ChangeRefusedError` for one that is none, `TransientError` within seconds when there is no
        broker, and `NotWrittenError` when one acknowledges nothing for `timeout`; the errors say how many
        changes before are written. Written again, they change nothing.
        """
        receipt = WriteReceipt()
        try:
            async for portion in _portions(changes):
                receipt = receipt | await self.write_portion(portion, timeout=timeout)
        except (ChangeRefusedError, NotWrittenError) as error:
            error.written, error.offsets = receipt.changes, receipt.offsets
            raise
        return receipt

    async def write_portion(self, portion: Sequence[Outgoing], *, timeout: timedelta) -> WriteReceipt:
        """Write changes that are checked; raises as `publish`."""
        bus = self._writer()
        ends = await bus.write(portion, timeout=timeout)
        return WriteReceipt(ends, len(portion), bus.partitions[portion[0].topic])

    async def wait_searchable(self, receipt: WriteReceipt, *, timeout: timedelta = SEARCHABLE_WITHIN) -> None:
        """Return when every search finds what was written; raises `NotSearchableError` after `timeout`."""
        await self._until_searchable(receipt, timeout)

    async def _until_searchable(self, receipt: WriteReceipt, timeout: timedelta) -> Mapping[int, int]:
        """Return where in the index it is: a search that must have seen that finds it at every replica."""
        if not receipt.offsets:
            return {}
        loop = asyncio.get_running_loop()
        deadline, waiting_for = loop.time() + timeout.total_seconds(), "nobody has answered"
        while (left := deadline - loop.time()) > 0:
            try:
                answer = await self._search.searchable(receipt.offsets, timeout=timedelta(seconds=left))
            except SearchUnavailableError as error:
                if error.status not in NOT_READY:
                    raise
                waiting_for = error.detail
                await asyncio.sleep(min(left, PAUSE.total_seconds()))
                continue
            _check_partitions(receipt, answer)
            if answer.searchable:
                return answer.min_offsets
            waiting_for = answer.waiting_for or ""
        raise NotSearchableError(
            f"not searchable after {timeout.total_seconds():g} s: {waiting_for}",
            fix="wait longer, or look at `headrace alerts tail --open`",
        )

    async def search(
        self, text: str, *, after: WriteReceipt | None = None, **options: Unpack[SearchOptions]
    ) -> AsyncAnswer:
        """Search by text, `after` what was written is searchable.

        Raises `SearchRefusedError` or `SearchUnavailableError`, and as `wait_searchable`.
        """
        if after is not None:
            seen = await self._until_searchable(after, SEARCHABLE_WITHIN)
            options["min_offsets"] = {**(options.get("min_offsets") or {}), **seen}
        response = await self._search.search(text, **options)
        asked_by: EventOptions = {name: options.get(name) for name in IDS}  # type: ignore[assignment]  # its keys
        return AsyncAnswer.of(response, asked_by, self.event)

    async def similar(
        self, product_id: str | None = None, *, text: str | None = None, **options: Unpack[SimilarOptions]
    ) -> SearchResponse | None:
        """Find what is near a product or a text; None when there is no such product; raises as `search`."""
        return await self._search.similar(product_id, text=text, **options)

    async def why(self, query: str, product_id: str, *, mode: Mode = "hybrid") -> WhyResponse:
        """Explain the rank or the absence of a product in the answer to a query; raises as `search`."""
        return await self._search.why(query, product_id, mode=mode)

    async def product(self, product_id: str) -> ProductResponse | None:
        """Return a product as the index has it; None when it is not there; raises as `search`."""
        return await self._search.product(product_id)

    async def fields(self) -> FieldsResponse:
        """Return every attribute that a product has, by name; raises as `search`."""
        return await self._search.fields()

    async def event(self, action: str, **options: Unpack[EventOptions]) -> SearchEvent:
        """Write one action of a shopper; returns when all replicas have it.

        It counts where it names the query that showed the product, be that days ago. Raises
        `EventRefusedError` when it can be none, and as `publish`.
        """
        one = event(action, options)
        await self._writer().write([message(one)], timeout=WRITTEN_WITHIN)
        return one

    def shopper(
        self, client_id: str | None = None, *, session_id: str | None = None, user_id: str | None = None
    ) -> "AsyncShopper":
        """Return who searches and acts under these ids: one a request, in a shop with many shoppers."""
        return AsyncShopper(self, {"client_id": client_id, "session_id": session_id, "user_id": user_id})

    def alerts(
        self, *, since: "Since" = "beginning", follow: bool = True, patience: timedelta | None = None
    ) -> "AsyncStream[Alert]":
        """Return the stream of what breaks, drifts and is mended; see `stream`."""
        return self.stream(Alert, since=since, follow=follow, patience=patience)

    def judgements(
        self, *, since: "Since" = "beginning", follow: bool = True, patience: timedelta | None = None
    ) -> "AsyncStream[Judgement]":
        """Return the stream of what shoppers think of products for queries; see `stream`."""
        return self.stream(Judgement, since=since, follow=follow, patience=patience)

    def models(
        self, *, since: "Since" = "beginning", follow: bool = True, patience: timedelta | None = None
    ) -> "AsyncStream[Model]":
        """Return the stream of models that were built and judged; see `stream`."""
        return self.stream(Model, since=since, follow=follow, patience=patience)

    def stream(
        self,
        kind: type[M],
        *,
        since: "Since" = "beginning",
        follow: bool = True,
        patience: timedelta | None = None,
    ) -> "AsyncStream[M]":
        """Return the stream of any message of `schemas.topics`.

        It begins at the `"beginning"`, `"now"`, at a moment, or at offsets by partition; without `follow` it
        ends behind what is there when it begins, with `patience` when nothing came for so long.
        """
        from headrace.streams import AsyncStream, Extent  # noqa: PLC0415 - aiokafka, for who reads

        stream = AsyncStream(self.installation.settings, kind, Extent(since, follow, patience))
        self._streams.add(stream)
        return stream

    def _writer(self) -> "Bus":
        if self._bus is None:
            from headrace.bus import Bus  # noqa: PLC0415 - aiokafka, for who writes

            self._bus = Bus(self.installation.settings)
        return self._bus


class AsyncShopper:
    """Who searches and acts: the ids are sent with everything."""

    def __init__(self, client: AsyncClient, ids: EventOptions) -> None:
        self._client = client
        self._ids = ids

    async def search(
        self, text: str, *, after: WriteReceipt | None = None, **options: Unpack[SearchOptions]
    ) -> AsyncAnswer:
        """Search as this shopper; see `AsyncClient.search`."""
        named: SearchOptions = {**self._ids, **options}  # type: ignore[typeddict-unknown-key]  # none: both have them
        return await self._client.search(text, after=after, **named)

    async def event(self, action: str, **options: Unpack[EventOptions]) -> SearchEvent:
        """Write what this shopper did; see `AsyncClient.event`."""
        named: EventOptions = {**self._ids, **options}
        return await self._client.event(action, **named)


def _check_partitions(receipt: WriteReceipt, answer: SearchableResponse) -> None:
    """Refuse an answer that does not speak for what was written: its product is at home elsewhere."""
    if receipt.partitions not in {0, answer.partitions}:
        raise ConfigurationError(
            f"the changes have {receipt.partitions} partitions, the index {answer.partitions}: nobody can "
            "say by offsets when a change is searchable; ask for the product (`product`) instead"
        )


async def _portions(changes: Iterable[Change] | AsyncIterable[Change]) -> AsyncIterator[list[Outgoing]]:
    if not isinstance(changes, AsyncIterable):
        for portion in portions(changes):
            yield portion
        return
    gathered = ChangePortion()
    async for change in changes:
        if gathered.add(change):
            yield gathered.take()
    if gathered.messages:
        yield gathered.take()
