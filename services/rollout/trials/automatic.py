"""Asks for the trials that nobody asks for: `rollout.trials.automatic`."""

from dataclasses import dataclass
from datetime import timedelta

from schemas.control import TrialTerms
from services.rollout.domain.automatic import next_request
from services.rollout.models import CandidateModels
from shared.generations.rollout_log import TOPIC, RolloutLog
from shared.kafka.offsets import BrokerLog
from shared.ports import Clock, Publisher, outgoing

EVERY = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True)
class AutomaticTrials:
    """Writes requests as a person would; whether they are granted is for the controller to say."""

    rollouts: RolloutLog
    models: CandidateModels
    terms: TrialTerms
    """Of a trial that nobody named any for."""
    edges: BrokerLog
    publisher: Publisher
    clock: Clock

    async def tick(self, epoch: int) -> None:  # noqa: ARG002 - a request that is written twice is answered once
        """Write the next request, if there is one."""
        _, end = await self.edges.edges(TOPIC)
        if self.rollouts.next_offset < end or self.rollouts.generations != self.rollouts.ledger.generations:
            return  # what is asked next may follow from what has not been read, or written, yet
        models, now = await self.models.all(), self.clock.now()
        request = next_request(self.rollouts.ledger, models, now, terms=self.terms)
        if request is not None:
            await self.publisher.publish([outgoing(request)])
