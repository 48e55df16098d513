"""Reads the judgements: what each says goes to its partition's state, and marks its query."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping

from pydantic import ValidationError

from schemas.judgements import Judgement, Negative
from services.negatives.domain.evidence import RelevanceEvidence
from services.negatives.store import EvidenceState, EvidenceStore
from shared.cluster.miner import MINER
from shared.errors import PoisonError
from shared.kafka.compacted import read_items, read_once
from shared.ports import Clock
from shared.records import UNKNOWN_LOG, Applied, Batch, Log, Partition, Record
from shared.settings import Settings

AT_ONCE = 500

Pair = tuple[str, str]
EvidenceRow = tuple[str, str, str]
"""Query, product, packed evidence; empty for a tombstone."""
Published = Callable[[], Awaitable[Iterable[Pair]]]


class EvidenceHandler:
    """The partition handler of `search.judgements.v1`."""

    def __init__(
        self, store: EvidenceStore, *, objective: frozenset[str], clock: Clock, published: Published
    ) -> None:
        self._store = store
        self._objective = objective
        self._clock = clock
        self._published = published
        self._states: dict[int, EvidenceState] = {}

    @property
    def states(self) -> Mapping[int, EvidenceState]:
        """The states that this process owns, by partition number."""
        return self._states

    async def assigned(self, partition: Partition, source: Log = UNKNOWN_LOG) -> int | None:
        """Take the state over; a new one begins at the start of the judgements.

        A new state of the miner also learns what was published before, so that it can be taken back.
        """
        state = await self._store.claim(partition.number, source)
        if state.next_offset is None and partition.number == MINER:
            await self._recover(state)
        self._states[partition.number] = state
        return state.next_offset

    def decode(self, record: Record) -> EvidenceRow:
        """Read a judgement, or its tombstone."""
        query, tab, product_id = (record.key or b"").decode(errors="replace").rpartition("\t")
        if not tab:
            raise PoisonError("key.invalid", "the key of a judgement is query, tab, product id")
        if record.value is None:
            return query, product_id, ""
        try:
            judgement = Judgement.decode(record.value)
        except ValidationError as error:
            raise PoisonError("judgement.invalid", str(error)) from error
        return judgement.query, judgement.product_id, RelevanceEvidence.of(judgement, self._objective).pack()

    async def handle(self, partition: Partition, batch: Batch[EvidenceRow]) -> Applied:
        """Store the batch and the offset in one step."""
        state = self._states[partition.number]
        rows = [row for _, row in batch.messages]
        await self._store.learn(state, rows, next_offset=batch.next_offset, now=self._clock.now())
        return Applied(len(rows))

    async def revoked(self, partition: Partition) -> None:
        """Forget the partition; what is in Redis is for its next owner."""
        self._states.pop(partition.number, None)

    async def _recover(self, state: EvidenceState) -> None:
        by_query: defaultdict[str, list[str]] = defaultdict(list)
        for query, product_id in sorted(await self._published()):
            by_query[query].append(product_id)
        negatives = list(by_query.items())
        for start in range(0, len(negatives), AT_ONCE):
            portion = negatives[start : start + AT_ONCE]
            await self._store.prepare(state, portion, mark=True, now=self._clock.now())


async def published_negatives(settings: Settings) -> list[Pair]:
    """Return query and product of every negative that is on the bus now."""
    topic = await read_once(settings, Negative.topic)
    negatives = read_items(Negative, topic.items.values())
    return [(negative.query, negative.product_id) for negative in negatives]
