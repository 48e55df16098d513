"""What the embedders keep in Redis of the products of a home, as far as others look at it."""

import orjson
from redis.asyncio import Redis

from shared.catalogue.older import OLDER, SEPARATOR, OlderChanges
from shared.state.fenced import StateFields, StateKeys
from shared.state.redis import text, transient


def home_keys(namespace: str, generation: str, home: int) -> StateKeys:
    """Return the keys of what the embedder of a generation keeps of the products of a home."""
    return StateKeys(f"{namespace}:{{{generation}:home-{home}}}:")


def home_fields(topic: str) -> StateFields:
    """Return the fields of what the embedder says of one of the logs that feed a home, by the log's topic."""
    return StateFields("epoch", f"next:{topic}", f"log:{topic}")


async def read_applied(redis: Redis, namespace: str, generation: str, *, home: int, topic: str) -> int | None:
    """Return the first message of a log of a home that the embedder has not applied; None: it has seen none.

    The index records of all before are published and acknowledged.
    """
    with transient():
        offset = await redis.hget(
            home_keys(namespace, generation, home).state, home_fields(topic).next_offset
        )
    return None if offset is None else int(offset)


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
