"""What tests write to the bus, and what workers have said on it."""

import asyncio
from collections.abc import Sequence

from schemas.alerts import Alert
from shared.kafka.compacted import read_once
from shared.kafka.publisher import KafkaPublisher
from shared.records import Outgoing
from shared.settings import Settings


def publish(settings: Settings, messages: Sequence[Outgoing]) -> None:
    """Write messages; returns when they are acknowledged."""

    async def write() -> None:
        publisher = KafkaPublisher(settings)
        await publisher.start()
        try:
            await publisher.publish(messages)
        finally:
            await publisher.stop()

    asyncio.run(write())


def last_alerts(settings: Settings) -> dict[str, Alert]:
    """Return the last state of every alert on the bus, by key."""
    values = asyncio.run(read_once(settings, Alert.topic)).items.values()
    return {alert.alert_key: alert for alert in map(Alert.decode, values)}


def open_alerts(settings: Settings) -> set[str]:
    """Return the keys of the alerts on the bus that are not resolved."""
    return {key for key, alert in last_alerts(settings).items() if alert.status != "resolved"}
