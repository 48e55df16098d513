"""Watches what routers forward: does a producer write elsewhere than its messages are at home."""

from collections.abc import Callable
from datetime import timedelta

from redis.asyncio import Redis

from schemas.topics import TOPICS
from services.monitor.dependencies import MonitorDependencies
from services.monitor.freshness.domain.forwarding import forwarding
from services.monitor.freshness.settings import FreshnessSettings
from shared.cluster.registry import ReaderRegistry
from shared.settings import Settings
from shared.streaming.repartition import router_of
from shared.streaming.router import tallies

QUIET = timedelta(minutes=30)
"""The alert ends when nothing was forwarded for so long."""


class ForwardingWatch:
    """Turns the tallies of the routers into one observation a topic."""

    def __init__(
        self,
        settings: FreshnessSettings,
        dependencies: MonitorDependencies,
        *,
        installation: Settings,
        registry: Callable[[str], ReaderRegistry],
    ) -> None:
        self._settings = settings
        self._redis: Redis = dependencies.redis
        self._alerts = dependencies.alerts
        self._clock = dependencies.clock
        self._installation = installation
        self._registry = registry

    async def tick(self, epoch: int) -> None:
        """Observe each topic that others write."""
        now, observations = self._clock.now(), []
        for topic in (spec.name for spec in TOPICS if spec.external):
            readers = await self._registry(router_of([topic])).records()
            partitions = [reader.partitions for reader in readers if reader.topic == topic]
            forwarded = await tallies(
                self._redis,
                self._installation.namespace,
                topic,
                partitions=max([self._installation.partitions, *partitions]),
            )
            observations.append(forwarding(topic, forwarded, since=now - QUIET))
        await self._alerts.observe(observations, policy=self._settings.alerts, epoch=epoch)
