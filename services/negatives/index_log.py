"""How much was written to the index: what tells that the catalogue has changed a lot."""

from schemas.topics import index_records
from shared.kafka.offsets import BrokerLog
from shared.records import Partition


class IndexLog:
    """Counts the records of a generation by where its partitions end."""

    def __init__(self, log: BrokerLog, *, partitions: int) -> None:
        self._log = log
        self._partitions = partitions

    async def written(self, generation: str) -> int:
        """Return how many index records were written so far; 0 when the broker does not say in time."""
        topic = index_records(generation).name
        ends = await self._log.ends([Partition(topic, number) for number in range(self._partitions)])
        return sum(ends.values()) if len(ends) == self._partitions else 0
