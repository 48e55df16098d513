"""What the worker that mines negatives keeps in Redis, as far as others look at it."""

from redis.asyncio import Redis

from shared.state.fenced import StateKeys
from shared.state.redis import transient

MINER = 0
"""The partition of the judgements whose owner mines, for all partitions."""


def miner_keys(namespace: str, number: int = MINER) -> StateKeys:
    """Return the keys of what is kept of a partition of the judgements."""
    return StateKeys(f"{namespace}:{{negatives-{number}}}:")


async def read_precision(redis: Redis, namespace: str) -> tuple[int, int]:
    """Return how many negatives were looked at enough since they were mined, and how many of them acted upon.

    Raises `TransientError`.
    """
    with transient():
        sums = await redis.hmget(miner_keys(namespace).state, ["looked_at", "acted_upon"])
    looked_at, acted_upon = (int(number or 0) for number in sums)
    return looked_at, acted_upon
