"""Up to when everything that was appended has been joined: asked of those who route and join, in turn.

The ends of queries and events are taken down at a moment; once the routers have passed them, those of what
they forwarded are; once the joins have passed all, every outcome of what was appended up to that moment lies
on the bus. It does not matter how long that takes, nor who does it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from redis.asyncio import Redis

from schemas.search import SearchEvent, SearchQuery
from schemas.topics import repartition_topic
from services.rollout.domain.joining import unjoined, unread
from services.rollout.trials import metrics
from shared.cluster.registry import ReaderRegistry
from shared.kafka.client import require_topics
from shared.kafka.consumer import RecordConsumer
from shared.ports import Clock
from shared.records import Partition
from shared.settings import Settings
from shared.streaming.repartition import router_of

SOURCES = (SearchQuery.topic, SearchEvent.topic)
FORWARDED = tuple(map(repartition_topic, SOURCES))
JOIN = "judgements-join"
"""What the loop of the joins is called, where it announces how far it is."""


@dataclass(frozen=True)
class _Probe:
    """Where the logs ended at a moment; what was forwarded of them, once the routers have come so far."""

    moment: datetime
    sources: Mapping[Partition, int]
    forwarded: Mapping[Partition, int] | None = None


class JoinProgress:
    """A look that finds somebody behind goes on at the next one; raises `TransientError` for who is away."""

    def __init__(self, settings: Settings, *, redis: Redis, clock: Clock) -> None:
        namespace = settings.namespace
        self._homes = settings.partitions
        self._routers = ReaderRegistry(redis, namespace, router_of(SOURCES))
        self._joins = ReaderRegistry(redis, namespace, JOIN)
        self._clock = clock
        self._settings = settings
        self._consumer = RecordConsumer(settings)
        self._probe: _Probe | None = None

    async def __aenter__(self) -> Self:
        """Connect."""
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def look(self) -> datetime | None:
        """Return a moment up to which all is joined and on the bus; None: not known yet, look again."""
        if self._probe is None:
            self._probe = _Probe(self._clock.now(), await self._ends(SOURCES))
        if self._probe.forwarded is None:
            if self._behind(unread(await self._routers.records(), self._probe.sources)):
                return None
            self._probe = replace(self._probe, forwarded=await self._ends(FORWARDED))
        wanted = {**self._probe.sources, **(self._probe.forwarded or {})}
        ours = {at: end for at, end in wanted.items() if at.number < self._homes}
        if self._behind(unjoined(await self._joins.records(), ours)):
            return None
        moment, self._probe = self._probe.moment, None
        return moment

    async def _ends(self, topics: Sequence[str]) -> dict[Partition, int]:
        counts = await require_topics(self._settings, topics)
        partitions = [Partition(topic, number) for topic, count in counts.items() for number in range(count)]
        return await self._consumer.ends(partitions)

    @staticmethod
    def _behind(messages: int) -> bool:
        metrics.unjoined.set(messages)
        return messages > 0
