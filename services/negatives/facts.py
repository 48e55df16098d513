"""Reads the judgements: what each says goes to its partition's state, and marks its query."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import groupby

from pydantic import ValidationError

from schemas.judgements import Judgement, Negative
from services.negatives.domain.fact import Fact
from services.negatives.store import MINER, Held, Store
from shared.compacted import read_once
from shared.errors import PoisonError
from shared.ports import Clock
from shared.records import Applied, Batch, Partition, Record
from shared.settings import Settings

AT_ONCE = 500

Pair = tuple[str, str]
Told = tuple[str, str, str]
"""Query, product, packed fact; empty for a tombstone."""
Published = Callable[[], Awaitable[Iterable[Pair]]]


class Facts:
    """The partition handler of `search.judgements.v1`."""

    def __init__(
        self, store: Store, *, objective: frozenset[str], clock: Clock, published: Published
    ) -> None:
        self._store = store
        self._objective = objective
        self._clock = clock
        self._published = published
        self._held: dict[int, Held] = {}

    @property
    def held(self) -> Mapping[int, Held]:
        """The states that this process owns, by partition number."""
        return self._held

    async def assigned(self, partition: Partition) -> int | None:
        """Take the state over; a new one begins at the start of the judgements.

        A new state of the miner also learns what was published before, so that it can be taken back.
        """
        held = await self._store.claim(partition.number)
        new = held.next_offset < 0
        if new and partition.number == MINER:
            await self._recover(held)
        self._held[partition.number] = held
        return None if new else held.next_offset

    def decode(self, record: Record) -> Told:
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
        return judgement.query, judgement.product_id, Fact.of(judgement, self._objective).pack()

    async def handle(self, partition: Partition, batch: Batch[Told]) -> Applied:
        """Store the batch and the offset in one step."""
        held = self._held[partition.number]
        told = [fact for _, fact in batch.messages]
        await self._store.learn(held, told, next_offset=batch.next_offset, now=self._clock.now())
        return Applied(len(told))

    async def revoked(self, partition: Partition) -> None:
        """Forget the partition; what is in Redis is for its next owner."""
        self._held.pop(partition.number, None)

    async def _recover(self, held: Held) -> None:
        pairs = sorted(await self._published())
        queries = [
            (query, [product_id for _, product_id in each])
            for query, each in groupby(pairs, lambda it: it[0])
        ]
        for start in range(0, len(queries), AT_ONCE):
            portion = queries[start : start + AT_ONCE]
            await self._store.promise(held, portion, mark=True, now=self._clock.now())


async def published(settings: Settings) -> list[Pair]:
    """Return query and product of every negative that is on the bus now."""
    found = map(Negative.decode, (await read_once(settings, Negative.topic)).items.values())
    return [(negative.query, negative.product_id) for negative in found]
