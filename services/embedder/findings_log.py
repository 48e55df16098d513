"""`catalogue.findings.v1`, read back: how many findings of each kind there are, and the last ones."""

from collections import Counter, deque
from dataclasses import dataclass, field

import structlog
from pydantic import ValidationError

from schemas.findings import CatalogueFindings, Finding
from shared.kafka.topic_reader import TopicReader
from shared.records import Record
from shared.settings import Settings

log = structlog.get_logger()


@dataclass(slots=True)
class FindingsSummary:
    """What was found, of one product or of all, for one reason or for any."""

    last: int
    """How many findings are kept, of the latest."""
    product_id: str = ""
    reason: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    """By reason; those that a message counts and does not name are `unnamed`."""
    latest: deque[tuple[CatalogueFindings, Finding]] = field(init=False)

    def __post_init__(self) -> None:
        """Make room."""
        self.latest = deque(maxlen=self.last)

    def take(self, record: Record) -> None:
        """Take note of a message, in log order."""
        try:
            message = CatalogueFindings.decode(record.value or b"")
        except ValidationError as error:
            log.warning("findings.invalid", offset=record.offset, error=str(error))
            return
        if self.product_id not in {"", message.product_id}:
            return
        named = [finding for finding in message.findings if self.reason in {"", finding.reason}]
        self.counts.update(finding.reason for finding in named)
        if not self.reason and message.total > len(message.findings):
            self.counts["unnamed"] += message.total - len(message.findings)
        self.latest.extend((message, finding) for finding in named)


async def read_findings(settings: Settings, summary: FindingsSummary) -> FindingsSummary:
    """Return the summary of all that the topic has now; raises `TransientError` when the broker is away."""
    async with TopicReader(settings, [CatalogueFindings.topic]) as reader:
        async for record in reader.news():
            summary.take(record)
    return summary
