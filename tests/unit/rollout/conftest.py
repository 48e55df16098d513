"""The rollout worker without servers: a log that is a list, and evidence as a test says."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from schemas.alerts import Alert
from schemas.control import Model, Rollout
from schemas.trials import TrialSession
from services.rollout.controller import RolloutController, RolloutDependencies
from services.rollout.domain.readiness import GenerationEvidence
from services.rollout.domain.standing import TrialSessions
from services.rollout.settings import RolloutSettings, Settings, TrialSettings
from services.rollout.trials.promotion_requests import PromotionRequests
from shared.generations.canary_results import CanaryResult
from shared.generations.state import Ledger, fold

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def model(model_id="m-1", **other):
    return Model.model_validate(
        {
            "model_id": model_id,
            "fingerprint": "0" * 16,
            "location": "/models/m-1",
            "dimensions": 3,
            "verdict": "admitted",
            "created_at": NOW,
            **other,
        }
    )


def asked(action, generation, request_id=None, **other):
    return Rollout(
        request_id=request_id or f"{action}-{generation}",
        action=action,
        generation=generation,
        requested_at=NOW,
        **other,
    )


def canary(recall, limit=0.5, ran_at=NOW):
    return CanaryResult(canary_id="c", recall=recall, limit=limit, ran_at=ran_at)


LIVE = GenerationEvidence(
    generation="g1",
    partitions=2,
    sources=2,
    ready=2,
    documents=100,
    taken_over=2,
    running=frozenset({"search/s", "embedder/e", "shards/d"}),
    canaries={"c": canary(0.9)},
)


@dataclass
class World:
    """A topic, and what everybody says; `worker()` is one more worker on it."""

    log: list[Rollout] = field(default_factory=list)
    other: list[bytes] = field(default_factory=list)
    models: dict[str, Model] = field(default_factory=lambda: {"m-1": model()})
    evidence: dict[str, GenerationEvidence] = field(default_factory=lambda: {"g1": LIVE})
    unfit: str | None = None
    topics: set[str] = field(default_factory=set)
    sessions: list[TrialSession] | None = field(default_factory=list)
    """What was published of a trial; None: nobody has read it yet."""
    time: datetime = NOW
    trials: TrialSettings = field(default_factory=TrialSettings)

    def worker(self):
        return Worker(self)

    async def publish(self, messages):
        for message in messages:
            if message.topic == Rollout.topic:
                self.log.append(Rollout.decode(message.value))
            else:
                self.other.append(message.value)

    async def edges(self, _):
        return 0, len(self.log)

    async def find(self, model_id):
        return self.models.get(model_id)

    async def objection(self, model, generation):
        return self.unfit

    async def collect(self, generation):
        empty = GenerationEvidence(generation=generation, partitions=2, sources=2)
        return self.evidence.get(generation, empty)

    async def make(self, generation):
        self.topics.add(generation)

    async def remove(self, generation):
        self.topics.discard(generation)
        return True

    def now(self):
        return self.time

    def standing(self, trial, *, over=False):
        if self.sessions is None:
            return None
        sessions = TrialSessions(trial)
        for session in self.sessions:
            sessions.take(session)
        return sessions.standing(over=over)

    def alerts(self, key):
        """Return what was said under this key."""
        told = [Alert.decode(value) for value in self.other if b"alert_key" in value]
        return [alert for alert in told if alert.alert_key == key]

    def requests_to_promote(self):
        told = [Alert.decode(value) for value in self.other if b"trial-better:" in value]
        return list({alert.alert_key: alert for alert in told}.values())

    @property
    def state(self):
        return fold(enumerate(self.log)).generations

    def stages(self):
        return {name: generation.stage for name, generation in self.state.known.items()}

    def whole(self, generation, **other):
        self.evidence[generation] = replace(LIVE, generation=generation, **other)


class Worker:
    """One rollout worker; `behind` looks at the log as it was `behind` messages ago."""

    def __init__(self, world):
        self.world = world
        self.ledger = Ledger()
        self.next_offset = 0
        dependencies = RolloutDependencies(
            rollouts=self,
            evidence=world,
            models=world,
            topics=world,
            edges=world,
            standings=world,
            promotion_requests=PromotionRequests(
                self, world.requests_to_promote, publisher=world, clock=world
            ),
            publisher=world,
            clock=world,
        )
        settings = Settings(rollout=RolloutSettings(trials=world.trials))
        self.controller = RolloutController(settings, dependencies)

    @property
    def generations(self):
        return self.ledger.generations.founded("g1")

    def follow(self):
        self.ledger = fold(enumerate(self.world.log))
        self.next_offset = len(self.world.log)

    async def tick(self, times=1):
        for _ in range(times):
            self.follow()
            await self.controller.tick(1)


@pytest.fixture
def world():
    return World()
