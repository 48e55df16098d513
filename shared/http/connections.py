"""What connections may cost: how many there are, how slow a request may come, and how slow an answer is read.

A process has a limited number of sockets. Whoever opens connections and says nothing or half a request line,
or reads no answer (Slowloris, CVE-2007-6750), must not take them away from the others.
"""

import asyncio
from collections import Counter, OrderedDict
from typing import Any

from prometheus_client import Counter as Metric
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.settings import HttpSettings

closed = Metric("headrace_http_closed", "Connections that were closed or refused, by why", ("reason",))
TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class ConnectionTable:
    """The open connections of one server, by the address that they come from."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self._by_client: Counter[str] = Counter()
        self._idle: dict[str, OrderedDict[GuardedProtocol, None]] = {}
        """Those without a request in hand, longest idle first."""

    def admit(self, connection: "GuardedProtocol") -> bool:
        """Take a connection in, unless its address has too many.

        Where there are too many in all, the longest idle one goes of the address that has most.
        """
        client, limits = connection.address, self.settings
        if limits.per_client and self._by_client[client] >= limits.per_client:
            return False
        if self._by_client.total() >= limits.connections and not self._close_one():
            return False
        self._by_client[client] += 1
        self.rest(connection)
        return True

    def rest(self, connection: "GuardedProtocol") -> None:
        """Note that a connection has no request in hand."""
        self._idle.setdefault(connection.address, OrderedDict())[connection] = None

    def work(self, connection: "GuardedProtocol") -> None:
        """Note that it has one."""
        idle = self._idle.get(connection.address, OrderedDict())
        idle.pop(connection, None)
        if not idle:
            self._idle.pop(connection.address, None)

    def release(self, connection: "GuardedProtocol") -> None:
        """Forget a connection that was admitted."""
        self.work(connection)
        self._by_client -= Counter((connection.address,))

    def _close_one(self) -> bool:
        for client, _ in self._by_client.most_common():
            if idle := self._idle.get(client):
                next(iter(idle)).close("crowded out")
                return True
        return False


class GuardedProtocol(H11Protocol):
    """A connection of uvicorn's with deadlines for a request's head and for an answer that is not read."""

    def __init__(self, *arguments: Any, table: ConnectionTable, **options: Any) -> None:  # Any: uvicorn's
        super().__init__(*arguments, **options)
        self._table = table
        self._admitted = False
        self._begun = False
        """Whether a part of a request has come."""
        self._head: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        """Of whom it is."""
        return self.client[0] if self.client else ""

    @property
    def is_idle(self) -> bool:
        """Whether no request is in hand: none came whole, or the last one is answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Take the connection in, or refuse it."""
        super().connection_made(transport)
        self._admitted = self._table.admit(self)
        if self._admitted:
            self._await_head()
        else:
            self.close("too many", TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what is no request yet is waited for so long and no longer, however it trickles."""
        if self.transport.is_closing():
            return
        self._begun = True
        super().data_received(data)
        if self.transport.is_closing() or not self._admitted:
            return
        if self.is_idle:
            self._await_head()
        else:
            self._cancel_head()
            self._table.work(self)

    def handle_websocket_upgrade(self, event: Any) -> None:  # Any: h11's, which uvicorn brings along
        """Hand the connection over: from now on it is no request's."""
        self._release()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Note that nothing is in hand, unless the next request is here already."""
        self._begun = False
        super().on_response_complete()
        if self._admitted and self.is_idle:
            self._table.rest(self)

    def pause_writing(self) -> None:
        """Wait so long for the other side to read on."""
        super().pause_writing()
        self._reading = self.loop.call_later(self._seconds, self._unread)

    def resume_writing(self) -> None:
        """Stop waiting: it reads."""
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()

    def close(self, reason: str, answer: bytes = b"") -> None:
        """Close it, with an answer where one helps."""
        closed.labels(reason).inc()
        if answer and not self.transport.is_closing():
            self.transport.write(answer)
        self.transport.close()

    @property
    def _seconds(self) -> float:
        return self._table.settings.request_within.total_seconds()

    def _await_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(self._seconds, self._late)

    def _cancel_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _late(self) -> None:
        self.close("no request", TOO_SLOW if self._begun else b"")

    def _unread(self) -> None:
        closed.labels("not read").inc()
        self.transport.abort()

    def _release(self) -> None:
        self._cancel_head()
        if self._reading is not None:
            self._reading.cancel()
        if self._admitted:
            self._admitted = False
            self._table.release(self)
