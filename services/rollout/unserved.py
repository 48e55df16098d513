"""Says of which generations, ready or warm, a worker has given the model up."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Protocol

from schemas.alerts import Alert
from services.rollout.domain.unserved import UNSERVED, changes
from shared.generations.rollout_log import RolloutLog
from shared.generations.status import GenerationStatus
from shared.kafka.compacted import CompactedTopic, read_items
from shared.ports import Clock, Publisher, outgoing

EVERY = timedelta(seconds=5)
RaisedAlerts = Callable[[], Iterable[Alert]]
"""Returns the last of each alert of a generation that is not served."""


class Reports(Protocol):
    """Who knows what each worker reports of its generations."""

    async def reports(self) -> list[GenerationStatus]:
        """Return what the living report."""
        ...


def raised_on(topic: CompactedTopic) -> RaisedAlerts:
    """Return who knows them from `alerts.v1`, which is followed."""
    prefix = f"{UNSERVED}:".encode()
    return lambda: read_items(Alert, [value for key, value in topic.items.items() if key.startswith(prefix)])


class UnservedGenerations:
    """Raises and ends the alerts; remembers nothing."""

    def __init__(
        self,
        rollouts: RolloutLog,
        reports: Reports,
        raised: RaisedAlerts,
        *,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._rollouts = rollouts
        self._reports = reports
        self._raised = raised
        self._publisher = publisher
        self._clock = clock

    async def tick(self, epoch: int) -> None:  # noqa: ARG002 - the same alert twice does no harm
        """Look once."""
        reports = await self._reports.reports()
        said = changes(self._rollouts.generations, reports, self._raised(), now=self._clock.now())
        if said:
            await self._publisher.publish([outgoing(alert) for alert in said])
