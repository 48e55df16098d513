"""Compares the last minutes' answers with the day before them."""

from collections.abc import Callable
from datetime import datetime

from prometheus_client import Gauge

from schemas.alerts import alert_key
from services.monitor.alerts.store import AlertStore
from services.monitor.answers.counter import AnswerCounter
from services.monitor.answers.domain.answers import (
    SUBJECT,
    ZERO_RESULTS,
    assess,
    partial_answers,
    zero_results,
)
from services.monitor.answers.settings import AnswerSettings
from shared.ports import Clock

zero_rate = Gauge("headrace_zero_results_ratio", "Share of the window's searches that found nothing")


class AnswerWatch:
    """Observes the rates of empty and partial answers."""

    def __init__(
        self,
        settings: AnswerSettings,
        counter: AnswerCounter,
        alerts: AlertStore,
        *,
        partitions: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._counter = counter
        self._alerts = alerts
        self._partitions = partitions
        self._clock = clock

    async def tick(self, epoch: int) -> None:
        """Observe the rates once."""
        rule, open_since = self._settings.rule, await self._open_since()
        buckets = await self._counter.buckets(self._partitions())
        window, past = assess(buckets, now=self._clock.now(), rule=rule, open_since=open_since)
        zero_rate.set(window.zero / window.total if window.total else 0.0)
        observations = (zero_results(window, past, rule), partial_answers(window, rule))
        await self._alerts.observe(
            [observation for observation in observations if observation is not None],
            policy=self._settings.alerts,
            epoch=epoch,
        )

    async def _open_since(self) -> datetime | None:
        """Return since when the alert on empty answers is open; None: it is not."""
        key = alert_key(ZERO_RESULTS, SUBJECT)
        state = (await self._alerts.states([key])).get(key)
        return state.alert.started_at if state is not None and state.firing and state.alert else None
