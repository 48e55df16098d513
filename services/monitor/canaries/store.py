"""What is remembered of canaries between runs, and their last results: in Redis, over restarts."""

from collections.abc import Iterable, Sequence

from redis.asyncio import Redis

from services.monitor.canaries.domain.verdict import CanaryVerdict, Memory, Result
from shared.generations.canary_results import results_key
from shared.state.fenced import LeaderScript
from shared.state.redis import text, transient

STORE = """
for i = 2, #ARGV, 3 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[2], ARGV[i]); redis.call('HDEL', KEYS[3], ARGV[i])
  else
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]); redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 2])
  end
end
"""


class CanaryStore:
    """Memories and results of one generation's canaries; writes carry the leader's epoch."""

    def __init__(self, redis: Redis, namespace: str, generation: str) -> None:
        base = f"{namespace}:{{monitor}}"
        self._redis = redis
        self._memories = f"{base}:canaries:{generation}:memory"
        self._results = results_key(namespace, generation)
        self._keys = (f"{base}:fence", self._memories, self._results)
        self._store = LeaderScript(redis, STORE)

    async def memories(self) -> dict[str, Memory]:
        """Return what is remembered, by canary id."""
        with transient():
            stored = await self._redis.hgetall(self._memories)
        return {text(name): Memory.model_validate_json(memory) for name, memory in stored.items()}

    async def results(self) -> list[Result]:
        """Return the last result of every canary, by id."""
        with transient():
            stored = await self._redis.hgetall(self._results)
        results = [Result.model_validate_json(result) for result in stored.values()]
        return sorted(results, key=lambda result: result.canary_id)

    async def store(self, verdicts: Sequence[CanaryVerdict], *, gone: Iterable[str], epoch: int) -> None:
        """Keep what a run taught, forget canaries that are gone."""
        changes: list[str] = []
        for verdict in verdicts:
            texts = (verdict.memory.model_dump_json(), verdict.result.model_dump_json())
            changes += [verdict.canary.canary_id, *texts]
        for name in gone:
            changes += [name, "", ""]
        if changes:
            await self._store(keys=self._keys, epoch=epoch, args=changes)
