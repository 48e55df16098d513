"""The alert of a source that went back ends when nothing of it is remembered, whoever looks then."""

from collections.abc import Callable, Sequence

import orjson
import pytest
from redis.asyncio import Redis

from schemas.alerts import Alert
from services.monitor.alerts.domain.state import AlertPolicy
from services.monitor.alerts.store import AlertStore
from services.monitor.dependencies import MonitorDependencies
from services.monitor.freshness.older import OlderWatch
from services.monitor.freshness.settings import FreshnessSettings
from shared.catalogue.older import OLDER, SEPARATOR, OlderChanges
from shared.generations.homes import home_keys
from shared.settings import Settings

pytestmark = pytest.mark.connected
AT_ONCE = FreshnessSettings(alerts=AlertPolicy(fire_after=1, resolve_after=1))
LINE = "debezium/postgresql/shop"


class Generations:
    async def live(self) -> Sequence[str]:
        return ["g1"]


@pytest.fixture
def watch(redis: Redis, bus, clock, namespace: str) -> Callable[[], OlderWatch]:
    def watch() -> OlderWatch:
        store = AlertStore(redis, bus, namespace=namespace, clock=clock)
        dependencies = MonitorDependencies(
            redis=redis, publisher=bus, search=None, generations=Generations(), alerts=store, clock=clock
        )
        return OlderWatch(AT_ONCE, dependencies, installation=Settings(namespace=namespace, partitions=1))

    return watch


@pytest.mark.parametrize("restarted", [False, True])
async def test_the_alert_ends_when_its_source_was_accepted(
    watch, redis: Redis, bus, clock, namespace: str, restarted: bool
) -> None:
    older = home_keys(namespace, "g1", 0).key(OLDER)
    changes = OlderChanges(1, clock.now().isoformat(), "catalogue.changes.v1-0 @ 7", 1)
    await redis.hset(older, f"{LINE}{SEPARATOR}lamp", orjson.dumps(tuple(changes)))
    clock.forward(minutes=1)
    monitor = watch()
    await monitor.tick(1)
    await redis.delete(older)
    monitor = watch() if restarted else monitor
    await monitor.tick(1)
    statuses: Sequence[str] = [Alert.decode(message.value).status for message in bus.on("alerts.v1")]
    assert statuses == ["firing", "resolved"]
