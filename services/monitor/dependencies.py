"""What every watch of the monitor works with, made once a process."""

from dataclasses import dataclass

from redis.asyncio import Redis

from services.monitor.alerts.store import AlertStore
from services.monitor.generations import WatchedGenerations
from services.monitor.search_probe import SearchProbe
from shared.ports import Clock, Publisher


@dataclass(frozen=True, kw_only=True)
class MonitorDependencies:
    """The seams to Redis, the bus, the search API and the clock."""

    redis: Redis
    publisher: Publisher
    search: SearchProbe
    generations: WatchedGenerations
    alerts: AlertStore
    clock: Clock
