"""A worker that is configured and never came, is gone, or does not read on, is an alert until it is well."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import pytest
from redis.asyncio import Redis

from schemas.alerts import Alert
from schemas.control import Rollout
from services.monitor.alerts.domain.state import AlertPolicy
from services.monitor.alerts.store import AlertStore
from services.monitor.dependencies import MonitorDependencies
from services.monitor.freshness.readers import ReaderWatch
from services.monitor.freshness.settings import FreshnessSettings
from services.monitor.generations import WatchedGenerations
from shared.clock import SystemClock
from shared.cluster.members import ReaderRecord
from shared.cluster.registry import ReaderRegistry
from shared.generations.rollout_log import RolloutLog
from shared.infrastructure.stack import Stack
from shared.infrastructure.topics import apply
from shared.kafka.publisher import publish_once
from shared.ports import outgoing
from shared.settings import Settings
from shared.streaming.heartbeat import FollowedTopics, ReaderHeartbeat
from tests.connected.installation import installation
from tests.connected.killing import until
from tests.connected.publishing import last_alerts

pytestmark = [pytest.mark.connected, pytest.mark.timeout(300)]
RUNNING = ("rollout", "trainer", "collector", "monitor")
SETTINGS = {
    "HEADRACE_MONITOR__ALERTS__GRACE": "PT1S",
    "HEADRACE_MONITOR__FRESHNESS__EVERY": "PT0.5S",
    "HEADRACE_MONITOR__FRESHNESS__WORKERS": '["rollout", "trainer", "collector", "negatives"]',
}


@pytest.fixture
async def settings(kafka: str, redis_url: str, topic_prefix: str, namespace: str) -> Settings:
    settings = Settings(kafka=kafka, redis=redis_url, topic_prefix=topic_prefix, namespace=namespace)
    await apply(settings)
    return settings


@asynccontextmanager
async def heard_of(settings: Settings, redis: Redis, rollouts: RolloutLog) -> AsyncIterator[ReaderRegistry]:
    """Announce a search that follows the rollouts until the block ends."""
    followed = FollowedTopics("search", rollouts)
    heartbeat = ReaderHeartbeat(settings, followed, redis=redis, clock=SystemClock())
    await heartbeat.start()
    try:
        yield ReaderRegistry(redis, settings.namespace, "search")
    finally:
        await heartbeat.stop()


async def announced(registry: ReaderRegistry, next_offset: int, end_offset: int) -> ReaderRecord:
    """Return what is announced once it says so."""
    async with asyncio.timeout(60):
        while True:
            for record in await registry.records():
                if (record.next_offset, record.end_offset) == (next_offset, end_offset):
                    return record
            await asyncio.sleep(0.05)


def rollout(number: int) -> Rollout:
    return Rollout.model_validate(
        {
            "request_id": f"r{number}",
            "action": "retire",
            "generation": "g9",
            "requested_at": SystemClock().now(),
        }
    )


async def test_a_search_that_does_not_hear_of_rollouts_any_more_is_an_alert_until_it_does(
    settings: Settings, redis: Redis, bus, clock
) -> None:
    rollouts = RolloutLog(settings)
    watch = ReaderWatch(
        FreshnessSettings(workers={"search"}, alerts=AlertPolicy(fire_after=1, resolve_after=1)),
        MonitorDependencies(
            redis=redis,
            publisher=bus,
            search=None,
            generations=WatchedGenerations(
                redis, namespace=settings.namespace, state=lambda: rollouts.generations, clock=clock
            ),
            alerts=AlertStore(redis, bus, namespace=settings.namespace, clock=clock),
            clock=clock,
        ),
        registry=partial(ReaderRegistry, redis, settings.namespace),
        partitions=4,
        grace=timedelta(0),
    )

    def said() -> list[tuple[str, str]]:
        known = [Alert.decode(message.value) for message in bus.on(Alert.topic)]
        return [(alert.alert_key, alert.status) for alert in known]

    await rollouts.start()
    async with heard_of(settings, redis, rollouts) as registry:
        await publish_once(settings, [outgoing(rollout(1))])
        record = await announced(registry, 1, 1)
        assert (record.topic, record.partitions) == (Rollout.topic, 1)
        await watch.tick(1)
        await rollouts.stop()
        await publish_once(settings, [outgoing(rollout(2))])
        await announced(registry, 1, 2)
        clock.forward(minutes=1)
        await watch.tick(1)
        assert said() == [("standstill:search", "firing")]
    restarted = RolloutLog(settings)
    await restarted.start()
    async with heard_of(settings, redis, restarted) as registry:
        await announced(registry, 2, 2)
        await watch.tick(1)
        assert said()[1:] == [("standstill:search", "resolved")]
    await restarted.stop()
    await watch.tick(1)
    assert said()[2:] == [("standstill:search", "firing")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("missing"), RUNNING, settings=SETTINGS) as stack:
        yield stack


@pytest.mark.slow
def test_a_worker_that_never_came_or_is_gone_is_an_alert_until_it_is_there(stack: Stack) -> None:
    def turn(worker: str) -> str:
        alert = last_alerts(stack.settings).get(f"standstill:{worker}")
        return "" if alert is None else alert.status

    def why() -> str:
        return f"{last_alerts(stack.settings)} {stack.tail('monitor')}"

    until(lambda: turn("negatives") == "firing", why=why)
    until(lambda: stack.not_ready() == {}, why=why)
    for worker in ("rollout", "trainer", "collector"):  # while they start they may be missed
        until(lambda worker=worker: turn(worker) != "firing", why=why)
        stack.kill(worker)
        until(lambda worker=worker: turn(worker) == "firing", why=why)
        stack.start_worker(worker)
        until(lambda worker=worker: turn(worker) == "resolved", why=why)
    said = last_alerts(stack.settings)
    assert said["standstill:trainer"].severity == "warning"
    assert said["standstill:collector"].severity == "critical"
    missed = {key.partition(":")[2] for key in said if key.startswith("standstill:")}
    assert missed <= {"negatives", "rollout", "trainer", "collector"}, "nobody else is to be there"
    assert not [key for key in said if key.startswith("shard-missing")]
