"""Ends the alerts that ask people to promote a generation, once that was answered."""

from collections.abc import Callable, Iterable
from datetime import datetime

from schemas.alerts import Alert
from services.rollout.domain.announcement import BETTER, answered
from shared.generations.rollout_log import RolloutLog
from shared.kafka.compacted import CompactedTopic, read_items
from shared.ports import Clock, Publisher, outgoing

RaisedRequests = Callable[[], Iterable[Alert]]
"""Returns the last of each alert that asks for a promotion."""


def requests_on(topic: CompactedTopic) -> RaisedRequests:
    """Return who knows them from `alerts.v1`, which is followed."""
    prefix = f"{BETTER}:".encode()
    return lambda: read_items(Alert, [value for key, value in topic.items.items() if key.startswith(prefix)])


class PromotionRequests:
    """What it remembers only keeps it from saying an end twice while the topic is a moment behind."""

    def __init__(
        self, rollouts: RolloutLog, raised: RaisedRequests, *, publisher: Publisher, clock: Clock
    ) -> None:
        self._rollouts = rollouts
        self._raised = raised
        self._publisher = publisher
        self._clock = clock
        self._resolved: set[tuple[str, datetime]] = set()

    @property
    def answered(self) -> list[Alert]:
        """Those that are over by the log of roll-outs, as resolved; without those that were said to be."""
        state, now = self._rollouts.generations, self._clock.now()
        over = [answered(request, state, now) for request in self._raised()]
        return [alert for alert in over if alert is not None and _life(alert) not in self._resolved]

    async def resolve(self) -> None:
        """Say of each that it is over."""
        if over := self.answered:
            await self._publisher.publish([outgoing(alert) for alert in over])
            self._resolved |= {_life(alert) for alert in over}


def _life(alert: Alert) -> tuple[str, datetime]:
    return alert.alert_key, alert.started_at
