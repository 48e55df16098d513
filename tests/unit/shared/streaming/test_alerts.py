"""An alert is a message like any other: of its topic, under its key, acknowledged."""

from datetime import UTC, datetime

import pytest

from schemas.alerts import Alert
from shared.errors import TransientError
from shared.streaming.alerts import BusAlerts
from shared.testing.publisher import MemoryPublisher

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ALERT = Alert(
    alert_key="canary-recall:g1:c-17",
    status="firing",
    severity="warning",
    summary="recall fell from 0.9 to 0.4",
    action="look at the last models",
    evidence={"recall": 0.4},
    started_at=NOW,
    updated_at=NOW,
)


async def test_an_alert_is_published_whole_under_its_key():
    publisher = MemoryPublisher()
    await BusAlerts(publisher).raise_alert(ALERT)
    [message] = publisher.of("alerts.v1")
    assert message.key == b"canary-recall:g1:c-17"
    assert Alert.decode(message.value or b"") == ALERT


async def test_an_alert_that_is_not_acknowledged_is_not_thought_to_be_raised():
    publisher = MemoryPublisher()
    publisher.failure = TransientError("away")
    with pytest.raises(TransientError):
        await BusAlerts(publisher).raise_alert(ALERT)
