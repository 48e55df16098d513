"""Looks at what partition loops announce: is every partition read, and do the readers get on."""

from collections.abc import Mapping

from redis.asyncio import Redis

from services.monitor.alerts import AlertBook
from services.monitor.domain.grace import Grace
from services.monitor.domain.movement import Movement, movements
from services.monitor.domain.observation import Observation
from services.monitor.domain.readers import Place, Work, positions, standstill, works
from services.monitor.generations import Generations
from services.monitor.settings import Settings
from shared.ports import Clock
from shared.registry import Readers


class ReaderWatch:
    """Turns the announcements of embedders and judgements into one observation a kind of work."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        *,
        generations: Generations,
        alerts: AlertBook,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._generations = generations
        self._alerts = alerts
        self._clock = clock
        self._moved: dict[str, Mapping[Place, Movement]] = {}
        self._grace = Grace(span=settings.monitor.grace)

    async def look(self, epoch: int) -> None:
        """Observe every kind of work that is expected."""
        expected = works(self._settings.monitor.workers, await self._generations.live())
        seen = [await self._observe(work) for work in expected]
        self._grace, news = self._grace.admit(seen, self._clock.now())
        await self._alerts.observe(news, policy=self._settings.monitor.shard_alerts, epoch=epoch)

    async def _observe(self, work: Work) -> Observation:
        now = self._clock.now()
        readers = await Readers(self._redis, self._settings.namespace, work.reading).records()
        moved = self._moved[work.reading] = movements(
            self._moved.get(work.reading, {}), positions(readers), now
        )
        return standstill(
            work,
            readers,
            moved,
            partitions=self._settings.partitions,
            before=now - self._settings.monitor.objective.stalled_after,
        )
