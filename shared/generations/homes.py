"""What the embedders keep in Redis of the products of a home, as far as others look at it."""

import orjson
from redis.asyncio import Redis

from shared.catalogue.older import OLDER, SEPARATOR, OlderChanges
from shared.state.fenced import StateKeys
from shared.state.redis import text, transient


def home_keys(namespace: str, generation: str, home: int) -> StateKeys:
    """Return the keys of what the embedder of a generation keeps of the products of a home."""
    return StateKeys(f"{namespace}:{{{generation}:home-{home}}}:")


async def read_older(
    redis: Redis, namespace: str, generation: str, *, homes: int
) -> dict[str, dict[str, OlderChanges]]:
    """Return what is remembered of a generation's products, by line and product."""
    lines: dict[str, dict[str, OlderChanges]] = {}
    for home in range(homes):
        with transient():
            stored = await redis.hgetall(home_keys(namespace, generation, home).key(OLDER))
        for name, packed in stored.items():
            line, _, product_id = text(name).rpartition(SEPARATOR)
            lines.setdefault(line, {})[product_id] = OlderChanges(*orjson.loads(packed))
    return lines
