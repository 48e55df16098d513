"""`catalogue.acceptances.v1` in memory: which sources count from when on, as of a moment ago."""

from collections.abc import Callable

import structlog
from pydantic import ValidationError

from schemas.catalogue import Acceptance
from shared.catalogue.acceptances import NONE, Acceptances, Accepted
from shared.kafka.tail import TailingConsumer
from shared.records import Record
from shared.settings import Settings

log = structlog.get_logger()


class AcceptanceLog(TailingConsumer):
    """Follows the topic; complete once it has started.

    Acceptances are only ever added: what was read stays, whatever becomes of the topic.
    """

    def __init__(self, settings: Settings) -> None:
        self.known: Acceptances = NONE
        self.messages: list[Acceptance] = []
        self.listeners: set[Callable[[], None]] = set()
        """Called whenever there is one that was not known."""
        super().__init__(settings, Acceptance.topic, self._keep)

    def _keep(self, record: Record) -> None:
        try:
            message = Acceptance.decode(record.value or b"")
        except ValidationError as error:
            log.warning("acceptance.invalid", offset=record.offset, error=str(error))
            return
        accepted = Accepted.by(message)
        if accepted in self.known:
            return
        self.known |= {accepted}
        self.messages.append(message)
        for tell in list(self.listeners):
            tell()


async def read_acceptances(settings: Settings) -> AcceptanceLog:
    """Return the log as it is now, no longer followed; empty when the topic is not there.

    Raises `TransientError` when the broker is away.
    """
    acceptances = AcceptanceLog(settings)
    return await acceptances.once() if await acceptances.exists() else acceptances
