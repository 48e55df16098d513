"""`headrace alerts resolve`: what only a person can know to be over."""

import pytest

from schemas.alerts import Alert
from services.monitor.alerts.requests import close, open_alerts, read
from shared.errors import ConfigurationError
from shared.infrastructure.topics import apply
from shared.kafka.publisher import KafkaPublisher
from shared.ports import outgoing
from shared.records import Partition
from shared.settings import Settings
from shared.streaming.resume import OffsetGap

pytestmark = pytest.mark.connected


@pytest.fixture
async def settings(kafka, redis_url, topic_prefix, namespace):
    settings = Settings.load(kafka=kafka, redis=redis_url, topic_prefix=topic_prefix, namespace=namespace)
    await apply(settings)
    return settings


@pytest.fixture
def offset_gap(clock) -> Alert:
    return OffsetGap(Partition("search.events.v1", 0), 3, 9).alert(clock.now(), worker="judgements-join")


async def publish(settings, *alerts: Alert) -> None:
    publisher = KafkaPublisher(settings)
    await publisher.start()
    await publisher.publish([outgoing(alert) for alert in alerts])
    await publisher.stop()


async def still_open(settings) -> list[str]:
    found = [alert async for alert in read(settings, follow=False) if alert is not None]
    return [alert.alert_key for alert in open_alerts(found)]


async def test_a_person_closes_a_hole_and_leaves_the_rest_to_the_monitor(settings, clock, offset_gap):
    watched = offset_gap.model_copy(update={"alert_key": "freshness:g1", "resolution": "automatic"})
    await publish(settings, offset_gap, watched)
    clock.forward(hours=1)
    with pytest.raises(ConfigurationError, match="resolves by itself"):
        await close(settings, [offset_gap.alert_key, watched.alert_key], note="", now=clock.now())
    assert len(await still_open(settings)) == 2
    [closed] = await close(settings, [offset_gap.alert_key], note="published again", now=clock.now())
    assert (closed.status, closed.updated_at) == ("resolved", clock.now())
    assert closed.summary.endswith("(closed by hand: published again)")
    assert await still_open(settings) == [watched.alert_key]
    with pytest.raises(ConfigurationError, match="no alert offset-gap"):
        await close(settings, [offset_gap.alert_key], note="", now=clock.now())
