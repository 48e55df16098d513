"""`rollout.v1` as every worker has it in memory: the state of all generations, as of a moment ago."""

import structlog
from pydantic import ValidationError

from schemas.control import Rollout
from shared.generations.state import Generations, Ledger
from shared.kafka.tail import TailingConsumer
from shared.records import Partition, Record
from shared.settings import Settings

log = structlog.get_logger()

TOPIC = Partition(Rollout.topic, 0)
"""It has one partition, so that all agree on the order of its messages."""


class RolloutLog(TailingConsumer):
    """Follows the topic; complete once it has started.

    While the broker is away the last state is kept. A log that was made anew is read anew.
    """

    def __init__(self, settings: Settings) -> None:
        self.ledger = Ledger()
        self.answers: dict[str, Rollout] = {}
        """The answer that counts to each request, or what was said of it last; by its id."""
        self.next_offset = 0
        self._configured = settings.generation
        super().__init__(settings, Rollout.topic, self._keep)

    @property
    def generations(self) -> Generations:
        """The state, with the configured generation while configuration decides."""
        return self.ledger.generations.founded(self._configured)

    def _keep(self, record: Record) -> None:
        if record.offset < self.next_offset:
            self.ledger = Ledger()
        self.next_offset = record.offset + 1
        try:
            message = Rollout.decode(record.value or b"")
        except ValidationError as error:
            log.warning("rollout.invalid", offset=record.offset, error=str(error))
            return
        if message.status != "requested" and message.request_id not in self.ledger.closed:
            self.answers[message.request_id or ""] = message
        self.ledger = self.ledger.take(message, offset=record.offset)


async def read_rollouts(settings: Settings) -> RolloutLog:
    """Return the log as it is now, no longer followed; raises `TransientError` when the broker is away."""
    rollouts = RolloutLog(settings)
    return await rollouts.once() if await rollouts.exists() else rollouts
