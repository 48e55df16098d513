"""The monitor without servers: alerts that step in memory, generations and registries that a test fills."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from schemas.alerts import Alert
from services.monitor.alerts.domain.observation import Observation
from services.monitor.alerts.domain.state import AlertPolicy, AlertState, step
from shared.cluster.members import OwnerRecord, ReaderRecord
from shared.errors import FencedError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Clock:
    """Moves when a test moves it."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        return self.moment

    def forward(self, **span: float) -> None:
        self.moment += timedelta(**span)


class MemoryAlerts:
    """What the watches use of the `AlertStore`: the real steps, on a dictionary."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.by_key: dict[str, AlertState] = {}
        self.published: list[Alert] = []
        self.observations: list[Observation] = []
        """Of the last call."""
        self.epoch = 0

    async def observe(self, observations: Sequence[Observation], *, policy: AlertPolicy, epoch: int) -> bool:
        if epoch < self.epoch:
            raise FencedError(f"epoch {self.epoch} leads")
        self.epoch, self.observations = epoch, list(observations)
        settled = True
        for observation in observations:
            before = self.by_key.get(observation.key, AlertState())
            after, alert = step(before, observation, now=self._clock.now(), policy=policy)
            self.by_key[observation.key] = after
            self.published += [] if alert is None else [alert]
            settled &= after.settled
            if observation.final:
                del self.by_key[observation.key]
        return settled

    async def states(self, keys: Sequence[str] | None = None) -> dict[str, AlertState]:
        return {key: state for key, state in self.by_key.items() if keys is None or key in keys}

    def turns(self) -> list[tuple[str, str]]:
        return [(alert.alert_key, alert.status) for alert in self.published]


@dataclass
class Registry:
    """The announcements of one kind of work."""

    announced: list = field(default_factory=list)

    async def owners(self) -> list[OwnerRecord]:
        return self.announced

    async def records(self) -> list[ReaderRecord]:
        return self.announced


@dataclass
class Generations:
    """Which generations there are, and who serves them."""

    names: list[str] = field(default_factory=lambda: ["g1"])
    built: list[str] = field(default_factory=list)
    registries: dict[str, Registry] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)

    async def live(self) -> list[str]:
        return list(self.names)

    def building(self) -> list[str]:
        return list(self.built)

    def registry(self, generation: str) -> Registry:
        return self.registries.setdefault(generation, Registry())

    def threshold(self, generation: str) -> float | None:
        return self.thresholds.get(generation)


def owner(shard: int = 0, **changes: object) -> OwnerRecord:
    """Return the announcement of a shard's owner that has caught up."""
    return OwnerRecord.model_validate(
        {
            "url": f"http://{changes.get('instance', 's')}",
            "instance": "s",
            "partition": shard,
            "partitions": 2,
            "epoch": 1,
            "next_offset": 100,
            "end_offset": 100,
            "ready": True,
            "freshness_p50": 0.1,
            "freshness_p99": 0.5,
            "ingestion_p50": 0.1,
            "ingestion_p99": 0.5,
            "updated_at": NOW,
            **changes,
        }
    )


def reader(partition: int = 0, topic: str = "catalogue.changes.v1", **changes: object) -> ReaderRecord:
    """Return the announcement of a partition's reader that has caught up."""
    return ReaderRecord.model_validate(
        {
            "instance": "r",
            "topic": topic,
            "partition": partition,
            "partitions": 2,
            "next_offset": 100,
            "end_offset": 100,
            "updated_at": NOW,
            **changes,
        }
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def alerts(clock: Clock) -> MemoryAlerts:
    return MemoryAlerts(clock)


@pytest.fixture
def generations() -> Generations:
    return Generations()
