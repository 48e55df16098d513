"""Counts answers per bucket of event time; counts and offset move in one atomic script."""

from redis.asyncio import Redis

from schemas.wire.errors import WireError
from schemas.wire.messages import decode_query
from services.monitor.answers.domain.answers import Bucket, LoggedAnswer, WindowRule, oldest, tally
from shared.ports import Clock
from shared.records import UNKNOWN_LOG, Applied, Batch, Log, Partition, Record
from shared.state.fenced import FencedState, StateKeys
from shared.state.hash import RedisHash
from shared.state.redis import transient

ANSWERS = "answers"
KINDS = ("total", "zero", "partial")


class AnswerCounter:
    """The `PartitionHandler` of `search.queries.v1`: empty and partial answers by minute.

    A query that cannot be read changes nothing here: the judgements worker reads the same topic and
    dead-letters it, and once is enough.
    """

    def __init__(self, redis: Redis, *, namespace: str, rule: WindowRule, clock: Clock) -> None:
        self._redis = redis
        self._namespace = namespace
        self._rule = rule
        self._clock = clock
        self._counts = RedisHash(redis, ANSWERS)
        self._held: dict[Partition, FencedState] = {}

    async def assigned(self, partition: Partition, source: Log = UNKNOWN_LOG) -> int | None:
        """Take over with a new epoch; return the first offset that is not counted."""
        held = await self._counts.claim(self._keys(partition.number), log=source)
        self._held[partition] = held
        return held.next_offset

    def decode(self, record: Record) -> LoggedAnswer | None:
        """Return what counts of the answer; None for what is no query, or was asked elsewhere long ago."""
        try:
            query = decode_query(record.value, timestamp=record.timestamp)
        except WireError:
            return None
        if query.history:
            return None
        return LoggedAnswer(
            asked_at=query.timestamp,
            products=query.found,
            partial=query.ranking is not None and query.ranking.partial,
        )

    async def handle(self, partition: Partition, batch: Batch[LoggedAnswer | None]) -> Applied:
        """Count the batch; the same batch again (the reply was lost) counts nothing."""
        answers = [answer for _, answer in batch.messages]
        added, count = tally(answers, now=self._clock.now(), rule=self._rule)
        amounts = {
            f"{bucket}:{kind}": amount
            for bucket, counts in added.items()
            for kind in KINDS
            if (amount := getattr(counts, kind))
        }
        await self._counts.add(self._held[partition], amounts, next_offset=batch.next_offset)
        return Applied(applied=count, no_op=len(answers) - count)

    async def revoked(self, partition: Partition) -> None:
        """Forget the epoch."""
        self._held.pop(partition, None)

    async def buckets(self, partitions: int) -> dict[int, Bucket]:
        """Return the counts of all partitions; buckets that are too old to matter are dropped."""
        first = oldest(self._clock.now(), self._rule)
        merged: dict[int, Bucket] = {}
        for number in range(partitions):
            stored = await self._counts.read(self._keys(number))
            dated = [(*_field(name), name, int(amount)) for name, amount in stored.items()]
            if old := [name for bucket, _, name, _ in dated if bucket < first]:
                with transient():
                    await self._redis.hdel(self._keys(number).key(ANSWERS), *old)
            for bucket, kind, _, amount in dated:
                if bucket >= first:
                    merged[bucket] = merged.get(bucket, Bucket()) + Bucket.model_validate({kind: amount})
        return merged

    def _keys(self, number: int) -> StateKeys:
        return StateKeys(f"{self._namespace}:{{monitor-queries-{number}}}:")


def _field(name: str) -> tuple[int, str]:
    bucket, kind = name.split(":")
    return int(bucket), kind
