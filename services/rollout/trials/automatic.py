"""Asks for the trials that nobody asks for: `rollout.trials.automatic`."""

from datetime import timedelta

from services.rollout.domain.automatic import next_request
from services.rollout.models import CandidateModels
from shared.generations.rollout_log import TOPIC, RolloutLog
from shared.kafka.offsets import BrokerLog
from shared.ports import Clock, Publisher, outgoing

EVERY = timedelta(seconds=10)


class AutomaticTrials:
    """Writes requests as a person would; whether they are granted is for the controller to say."""

    def __init__(
        self,
        rollouts: RolloutLog,
        models: CandidateModels,
        *,
        edges: BrokerLog,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._rollouts = rollouts
        self._models = models
        self._edges = edges
        self._publisher = publisher
        self._clock = clock

    async def tick(self, epoch: int) -> None:  # noqa: ARG002 - a request that is written twice is answered once
        """Write the next request, if there is one."""
        _, end = await self._edges.edges(TOPIC)
        if (
            self._rollouts.next_offset < end
            or self._rollouts.generations != self._rollouts.ledger.generations
        ):
            return  # what is asked next may follow from what has not been read, or written, yet
        request = next_request(self._rollouts.ledger, await self._models.all(), self._clock.now())
        if request is not None:
            await self._publisher.publish([outgoing(request)])
