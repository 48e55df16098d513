"""Alerts from outside the monitor: read them from their topic, and close what only a person can."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from pydantic import ValidationError

from schemas.alerts import Alert
from services.monitor.alerts.domain.open_alerts import unresolved
from shared.errors import ConfigurationError
from shared.kafka.client import require_topics
from shared.kafka.consumer import RecordConsumer, intact
from shared.kafka.publisher import publish_once
from shared.ports import outgoing
from shared.records import Partition, Record
from shared.settings import Settings

POLL = timedelta(milliseconds=300)


async def close(settings: Settings, keys: list[str], *, note: str, now: datetime) -> list[Alert]:
    """Publish these alerts as resolved: all of them, or none and `ConfigurationError`."""
    latest = {alert.alert_key: alert async for alert in read(settings, follow=False) if alert is not None}
    resolved = [resolved_by_hand(key, latest.get(key), note=note, now=now) for key in dict.fromkeys(keys)]
    await publish_once(settings, [outgoing(alert) for alert in resolved])
    return resolved


def resolved_by_hand(key: str, alert: Alert | None, *, note: str, now: datetime) -> Alert:
    """Return the alert resolved; raises `ConfigurationError` when it is not for people to close."""
    if alert is None or alert.status == "resolved":
        raise ConfigurationError(
            f"no alert {key} is open: `headrace alerts tail --open` shows those that are"
        )
    if alert.resolution == "automatic":
        raise ConfigurationError(f"{key} resolves by itself when what it saw is over. To do: {alert.action}")
    return alert.over(f"{alert.summary} (closed by hand{': ' * bool(note)}{note})", now)


def open_alerts(history: Iterable[Alert]) -> list[Alert]:
    """Return the last state of every alert that is not resolved, most severe and oldest first."""
    latest = {alert.alert_key: alert for alert in history}
    return unresolved(latest.values())


async def read(settings: Settings, *, follow: bool) -> AsyncIterator[Alert | None]:
    """Yield the alerts on the topic, then None where its end was, then (if asked) what comes later."""
    await require_topics(settings, [Alert.topic])
    consumer, partition = RecordConsumer(settings), Partition(Alert.topic, 0)
    await consumer.start()
    try:
        consumer.assign([partition])
        end = (await consumer.ends([partition]))[partition]
        while await consumer.position(partition) < end:
            for alert in _decoded(await consumer.read(wait=POLL)):
                yield alert
        yield None
        while follow:
            for alert in _decoded(await consumer.read(wait=POLL)):
                yield alert
    finally:
        await consumer.stop()


def _decoded(records: Iterable[Record]) -> Iterator[Alert]:
    for record in intact(records):
        with suppress(ValidationError):  # a tombstone, or what is no alert
            yield Alert.decode(record.value or b"")
