"""Watches what readers announce: is everything read that workers work by, and do the readers get on."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from services.monitor.alerts.domain.grace import Grace
from services.monitor.alerts.domain.observation import Observation
from services.monitor.dependencies import MonitorDependencies
from services.monitor.freshness.domain.movement import Movement, movements
from services.monitor.freshness.domain.readers import TopicPartition, positions, standstill
from services.monitor.freshness.domain.work import ExpectedWork, expected_work, unless_left_out
from services.monitor.freshness.settings import FreshnessSettings
from shared.cluster.registry import ReaderRegistry


class ReaderWatch:
    """Turns the announcements of workers into one observation a kind of work.

    `registry` gives the readers by the name of what they read.
    """

    def __init__(
        self,
        settings: FreshnessSettings,
        dependencies: MonitorDependencies,
        *,
        registry: Callable[[str], ReaderRegistry],
        partitions: int,
        grace: timedelta,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._partitions = partitions
        self._generations = dependencies.generations
        self._alerts = dependencies.alerts
        self._clock = dependencies.clock
        self._movements: dict[str, Mapping[TopicPartition, Movement]] = {}
        self._grace = Grace(span=grace)

    async def tick(self, epoch: int) -> None:
        """Observe every kind of work."""
        expected = expected_work(await self._generations.live())
        # A generation that comes back is given its time anew, from when it is seen again.
        readings = {work.reading for work in expected}
        self._movements = {name: moves for name, moves in self._movements.items() if name in readings}
        observations = [await self._observe(work) for work in expected]
        self._grace, counted = self._grace.admit(observations, self._clock.now())
        await self._alerts.observe(counted, policy=self._settings.alerts, epoch=epoch)

    async def _observe(self, work: ExpectedWork) -> Observation:
        now = self._clock.now()
        readers = await self._registry(work.reading).records()
        moves = movements(self._movements.get(work.reading, {}), positions(work, readers), now)
        self._movements[work.reading] = moves
        before = now - self._settings.objective.stalled_after
        observation = standstill(work, readers, moves, partitions=self._partitions, before=before)
        return unless_left_out(observation, work.worker, self._settings.workers)
