"""What the last run of each canary on a generation said, for those who must know whether it is sound."""

from redis.asyncio import Redis

from schemas.base import Identifier, Timestamp, Value
from shared.state.redis import transient


class CanaryResult(Value):
    """One canary on one generation."""

    canary_id: Identifier
    recall: float
    limit: float
    """Recall below which it is not healthy."""
    ran_at: Timestamp


def results_key(namespace: str, generation: str) -> str:
    """Return where the monitor keeps the last results, a hash by canary id."""
    return f"{namespace}:{{monitor}}:canaries:{generation}:results"


async def canary_results(redis: Redis, namespace: str, generation: str) -> dict[str, CanaryResult]:
    """Return the last result of every canary that was run on the generation, by id."""
    with transient():
        stored = await redis.hgetall(results_key(namespace, generation))
    results = [CanaryResult.model_validate_json(result) for result in stored.values()]
    return {result.canary_id: result for result in results}
