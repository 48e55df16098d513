"""Counts answers per bucket of event time; counts and offset move in one atomic script."""

from datetime import datetime

from prometheus_client import Gauge
from redis.asyncio import Redis

from schemas.wire.errors import WireError
from schemas.wire.messages import decode_query
from services.monitor.alerts import AlertBook
from services.monitor.domain.answers import (
    SUBJECT,
    ZERO_RESULTS,
    Answer,
    Bucket,
    WindowRule,
    assess,
    oldest,
    partial_answers,
    tally,
    zero_results,
)
from services.monitor.domain.observation import alert_key
from services.monitor.holding import Holding, Keys
from services.monitor.settings import Settings
from shared.adapters.redis import text, transient
from shared.ports import Clock
from shared.records import Applied, Batch, Partition, Record

KINDS = ("total", "zero", "partial")

zero_rate = Gauge("headrace_zero_results_ratio", "Share of the window's searches that found nothing")


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
        self._holding = Holding(redis, lambda partition: self._keys(partition.number))

    async def assigned(self, partition: Partition) -> int | None:
        """Take over with a new epoch; return the first offset that is not counted."""
        return await self._holding.claim(partition)

    def decode(self, record: Record) -> Answer | None:
        """Return what counts of the answer; None for what is no query."""
        try:
            query = decode_query(record.value, timestamp=record.timestamp)
        except WireError:
            return None
        told = query.ranking is not None or "query_response_object_ids" in query.model_fields_set
        return Answer(
            asked_at=query.timestamp,
            products=len(query.query_response_object_ids) if told else None,
            partial=query.ranking is not None and query.ranking.partial,
        )

    async def handle(self, partition: Partition, batch: Batch[Answer | None]) -> Applied:
        """Count the batch; the same batch again (the reply was lost) counts nothing."""
        answers = [answer for _, answer in batch.messages]
        added, count = tally(answers, now=self._clock.now(), rule=self._rule)
        changes: list[str | int] = []
        for bucket, more in added.items():
            for kind in KINDS:
                if amount := getattr(more, kind):
                    changes += [f"{bucket}:{kind}", amount]
        await self._holding.write(partition, changes, how="HINCRBY", next_offset=batch.next_offset)
        return Applied(applied=count, no_op=len(answers) - count)

    async def revoked(self, partition: Partition) -> None:
        """Forget the epoch."""
        self._holding.drop(partition)

    async def buckets(self, partitions: int) -> dict[int, Bucket]:
        """Return the counts of all partitions; buckets that are too old to matter are dropped."""
        first = oldest(self._clock.now(), self._rule)
        merged: dict[int, Bucket] = {}
        for number in range(partitions):
            counts = self._keys(number)[1]
            with transient():
                stored = await self._redis.hgetall(counts)
            dated = [(*_field(name), name, int(amount)) for name, amount in stored.items()]
            if old := [name for bucket, _, name, _ in dated if bucket < first]:
                with transient():
                    await self._redis.hdel(counts, *old)
            for bucket, kind, _, amount in dated:
                if bucket >= first:
                    merged[bucket] = merged.get(bucket, Bucket()) + Bucket.model_validate({kind: amount})
        return merged

    def _keys(self, number: int) -> Keys:
        base = f"{self._namespace}:{{monitor-queries-{number}}}"
        return f"{base}:state", f"{base}:answers"


def _field(name: bytes | str) -> tuple[int, str]:
    bucket, kind = text(name).split(":")
    return int(bucket), kind


class AnswerWatch:
    """Compares the last minutes' answers with the day before them."""

    def __init__(
        self, settings: Settings, counter: AnswerCounter, alerts: AlertBook, *, clock: Clock
    ) -> None:
        self._partitions = settings.partitions
        self._rule = settings.monitor.answers_rule
        self._policy = settings.monitor.answer_alerts
        self._counter = counter
        self._alerts = alerts
        self._clock = clock

    async def look(self, epoch: int) -> None:
        """Observe the rates of empty and partial answers."""
        buckets = await self._counter.buckets(self._partitions)
        window, past = assess(
            buckets, now=self._clock.now(), rule=self._rule, open_since=await self._open_since()
        )
        zero_rate.set(window.zero / window.total if window.total else 0.0)
        seen = (zero_results(window, past, self._rule), partial_answers(window, self._rule))
        await self._alerts.observe(
            [observation for observation in seen if observation is not None],
            policy=self._policy,
            epoch=epoch,
        )

    async def _open_since(self) -> datetime | None:
        key = alert_key(ZERO_RESULTS, SUBJECT)
        life = (await self._alerts.lives([key])).get(key)
        return life.alert.started_at if life is not None and life.alert is not None and life.firing else None
