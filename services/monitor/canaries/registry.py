"""The canaries as their topic has them; what cannot be one is dead-lettered, once."""

from collections.abc import Mapping
from typing import Protocol

import structlog
from redis.asyncio import Redis

from schemas.judgements import Canary
from schemas.wire.errors import WireError
from schemas.wire.messages import decode_message
from shared.errors import PoisonError
from shared.records import Record
from shared.state.redis import text, transient
from shared.streaming.dead_letters import DeadLetters

log = structlog.get_logger()


class LatestRecords(Protocol):
    """The last record of each key, as `shared.kafka.compacted.CompactedTopic` has them."""

    @property
    def records(self) -> Mapping[bytes, Record]: ...  # noqa: D102 - said above


class CanaryRegistry:
    """Decodes the compacted topic; a poisonous value stays out and its record goes to the dead letters.

    The topic keeps such a value until its key is written again, so which ones were dead-lettered is
    remembered in Redis, over restarts (a kill in between dead-letters one twice).
    """

    def __init__(
        self, topic: LatestRecords, dead_letters: DeadLetters, redis: Redis, *, namespace: str
    ) -> None:
        self._topic = topic
        self._dead_letters = dead_letters
        self._redis = redis
        self._buried = f"{namespace}:{{monitor}}:canaries:dead"
        self._decoded: dict[bytes, tuple[Record, Canary | PoisonError]] = {}

    async def read(self) -> list[Canary]:
        """Return the canaries by id; raises `TransientError` when a dead letter could not be written."""
        before, self._decoded = self._decoded, {}
        for key, record in self._topic.records.items():
            decoded = before.get(key)
            self._decoded[key] = decoded if decoded and decoded[0] == record else (record, _attempt(record))
        poison = {
            _name(record): (record, error)
            for record, error in self._decoded.values()
            if isinstance(error, PoisonError)
        }
        await self._bury(poison)
        canaries = [canary for _, canary in self._decoded.values() if isinstance(canary, Canary)]
        return sorted(canaries, key=lambda canary: canary.canary_id)

    async def _bury(self, poison: dict[str, tuple[Record, PoisonError]]) -> None:
        with transient():
            buried = {text(name) for name in await self._redis.smembers(self._buried)}
        for name in sorted(poison.keys() - buried):
            record, error = poison[name]
            await self._dead_letters.write(record, error)
            log.warning("canary.dead_lettered", key=repr(record.key), reason=error.reason, why=str(error))
            with transient():
                await self._redis.sadd(self._buried, name)
        if forgotten := buried - poison.keys():
            with transient():
                await self._redis.srem(self._buried, *forgotten)


def decode(record: Record) -> Canary:
    """Return the canary; raises `PoisonError` when it can never be run."""
    try:
        canary = decode_message(Canary, record.value)
    except WireError as error:
        raise PoisonError(error.reason, error.explanation) from error
    if canary.key() != record.key:
        raise PoisonError("key.mismatch", f"the key must be the canary_id {canary.canary_id}")
    return canary


def _attempt(record: Record) -> Canary | PoisonError:
    try:
        return decode(record)
    except PoisonError as error:
        return error


def _name(record: Record) -> str:
    return f"{record.partition.number}-{record.offset}"
