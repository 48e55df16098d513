"""Wires the canaries: their topic, their runs on every generation, the command and the page."""

from datetime import timedelta
from functools import partial

from schemas.judgements import Canary
from services.monitor.canaries.registry import CanaryRegistry
from services.monitor.canaries.runner import CanaryDependencies
from services.monitor.canaries.settings import CanarySettings
from services.monitor.canaries.store import CanaryStore
from services.monitor.canaries.watch import CanaryWatch
from services.monitor.dependencies import MonitorDependencies
from services.monitor.feature import Feature, PeriodicWatch
from shared.kafka.compacted import CompactedTopic
from shared.settings import Settings
from shared.streaming.dead_letters import DeadLetters

TICK_EVERY = timedelta(milliseconds=500)
READER = "monitor"
"""Who dead-letters a canary that can never be run."""


def wire(
    settings: Settings, section: CanarySettings, dependencies: MonitorDependencies, *, grace: timedelta
) -> Feature:
    """Return the canary watch, the command `canaries.run` and `GET /canaries`: the last results."""
    topic = CompactedTopic(settings, Canary.topic)
    letters = DeadLetters(dependencies.publisher, reader=READER, by=CanaryRegistry)
    registry = CanaryRegistry(topic, letters, dependencies.redis, namespace=settings.namespace)
    runs = CanaryDependencies(
        store=partial(CanaryStore, dependencies.redis, settings.namespace),
        search=dependencies.search,
        generations=dependencies.generations,
        alerts=dependencies.alerts,
        clock=dependencies.clock,
    )
    watch = CanaryWatch(section, registry, runs, grace=grace)

    async def page() -> dict[str, object]:
        return {"canaries": [result.model_dump(mode="json") for result in await watch.results()]}

    return Feature(
        components=[topic],
        watches=[PeriodicWatch(name="canaries", every=TICK_EVERY, tick=watch.tick)],
        commands={"canaries.run": watch.request},
        pages={"/canaries": page},
    )
