"""A collector before a publisher that a test fails, holds up and looks into."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI

from services.collector.api import CollectorApi, mount
from services.collector.log import AcknowledgedLog
from services.collector.settings import CollectorSettings
from shared.testing.publisher import MemoryPublisher

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
VISITOR, NEIGHBOUR = "203.0.113.9", "203.0.113.10"


class HeldPublisher(MemoryPublisher):
    """Acknowledges only while it is not held up."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.free.set()
        self.calls = 0
        self.called = asyncio.Event()

    async def publish(self, messages) -> None:
        self.calls += 1
        self.called.set()
        await self.free.wait()
        await super().publish(messages)


class Collecting:
    """A collector in this process, with the clock that a test moves."""

    def __init__(self) -> None:
        self.now_is = NOW
        self.bus = HeldPublisher()
        self.log: AcknowledgedLog | None = None
        self.api: FastAPI | None = None

    def now(self) -> datetime:
        return self.now_is

    def client(self, address: str = VISITOR) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.api, client=(address, 4711), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://collector")


Opened = tuple[httpx.AsyncClient, Collecting]
Open = Callable[..., Awaitable[Opened]]


@pytest.fixture
async def open_collector() -> AsyncIterator[Open]:
    opened: list[AcknowledgedLog] = []

    async def open_collector(*, host: str = "127.0.0.1", within: float = 5.0, **settings: object) -> Opened:
        collecting = Collecting()
        section = CollectorSettings.model_validate(settings)
        collecting.log = AcknowledgedLog(collecting.bus, within=timedelta(seconds=within))
        await collecting.log.start()
        opened.append(collecting.log)
        collecting.api = FastAPI(docs_url=None)
        routes = CollectorApi(section, collecting.log, parts=frozenset(), clock=collecting)
        mount(collecting.api, routes, section, host=host)
        return collecting.client(), collecting

    yield open_collector
    for log in opened:
        log._publisher.free.set()
        await log.stop()
