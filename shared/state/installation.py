"""Whose state a namespace of Redis holds: written once, by whoever comes first, and looked at by everyone.

State is offsets into the topics of one Kafka cluster. Under the state of another one, or beside another
installation in the same namespace, both would be damaged without a word; so the namespace says whose it is.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from redis.asyncio import Redis

from shared.errors import ConfigurationError
from shared.state.redis import Script, text, transient

ENTER = """
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'cluster', ARGV[1], 'prefix', ARGV[2], 'partitions', ARGV[3])
end
return redis.call('HMGET', KEYS[1], 'cluster', 'prefix', 'partitions')
"""
PORTION = 1000


@dataclass(frozen=True, slots=True)
class Installation:
    """One set of topics and workers, named by where its topics are."""

    cluster: str
    """The identity of the Kafka cluster."""
    prefix: str
    """What the names of its topics begin with."""
    partitions: int
    """Of each hot topic of ours, from the first start on; a product and a query keep their partition."""

    def __str__(self) -> str:
        prefix = f", topic prefix {self.prefix!r}" if self.prefix else ""
        return f"Kafka cluster {self.cluster!r}{prefix}"


def shards_of(counts: Iterable[int]) -> int | None:
    """Return how many partitions most of our sharded topics have (of a tie the smaller); None: no topic.

    Somebody may have added partitions to one of them; products stay where they are.
    """
    there = Counter(count for count in counts if count)
    return min(there, key=lambda count: (-there[count], count)) if there else None


class InstallationRecord:
    """The one record of a namespace."""

    def __init__(self, redis: Redis, namespace: str) -> None:
        self._redis = redis
        self._namespace = namespace
        self._key = f"{namespace}:installation"
        self._enter = Script(redis, ENTER)

    async def enter(self, ours: Installation) -> Installation:
        """Return what the namespace says, which is `ours` when it said nothing yet.

        Raises `ConfigurationError` when it is another installation's.
        """
        reply = await self._enter(keys=[self._key], args=[ours.cluster, ours.prefix, ours.partitions])
        cluster, prefix, partitions = map(text, reply)
        stored = Installation(cluster, prefix, int(partitions))
        if (stored.cluster, stored.prefix) != (ours.cluster, ours.prefix):
            raise ConfigurationError(
                f"the namespace {self._namespace!r} of this Redis belongs to {stored}, and this is {ours}: "
                "set HEADRACE_NAMESPACE to another name, or, if that installation is gone for good, run "
                "`headrace adopt`"
            )
        return stored

    async def read(self) -> Installation | None:
        """Return what the namespace says; None: it is nobody's yet."""
        with transient():
            fields = await self._redis.hgetall(self._key)
        values = {text(name): text(value) for name, value in fields.items()}
        if not values:
            return None
        return Installation(values["cluster"], values["prefix"], int(values["partitions"]))

    async def clear(self) -> int:
        """Remove every key of the namespace, and return how many; the topics have it all once more."""
        removed = 0
        with transient():
            for pattern in (f"{self._namespace}:*", f"{{{self._namespace}:*"):
                portion: list[bytes] = []
                async for key in self._redis.scan_iter(match=pattern, count=PORTION):
                    portion.append(key)
                    if len(portion) == PORTION:
                        removed += await self._remove(portion)
                        portion = []
                removed += await self._remove(portion)
        return removed

    async def _remove(self, keys: list[bytes]) -> int:
        pipeline = self._redis.pipeline(
            transaction=False
        )  # a command a key: a cluster sends each to its node
        for key in keys:
            pipeline.unlink(key)
        return sum(await pipeline.execute())
