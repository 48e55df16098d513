"""Which installation this process belongs to: looked at before it is wired, and again and again."""

from datetime import timedelta
from typing import TypeVar

import structlog

from schemas.topics import sharded
from shared.errors import TransientError
from shared.kafka.metadata import describe
from shared.process.periodic import Every
from shared.settings import Settings
from shared.state.installation import Installation, InstallationRecord, shards_of
from shared.state.redis import connect

log = structlog.get_logger()
S = TypeVar("S", bound=Settings)
LOOK_EVERY = timedelta(seconds=20)


async def enter(settings: S) -> S:
    """Return the settings with the installation's own number of partitions, whatever is configured.

    Raises `ConfigurationError` when the namespace of Redis is another installation's, and `TransientError`
    when broker or Redis is away, or the topics are not there yet.
    """
    ours = await _ours(settings)
    redis = connect(settings)
    try:
        installation = await InstallationRecord(redis, settings.namespace).enter(ours)
    finally:
        await redis.aclose()
    if "partitions" in settings.model_fields_set and settings.partitions != installation.partitions:
        log.warning("partitions.kept", configured=settings.partitions, kept=installation.partitions)
    return settings.model_copy(update={"partitions": installation.partitions})


async def adopt(settings: Settings) -> int:
    """Empty the namespace and make it ours; returns how many keys were removed."""
    ours = await _ours(settings)
    redis = connect(settings)
    try:
        record = InstallationRecord(redis, settings.namespace)
        removed = await record.clear()
        await record.enter(ours)
    finally:
        await redis.aclose()
    return removed


def watch(settings: Settings) -> Every:
    """Return the component that fails when the namespace becomes another installation's under us."""

    async def look() -> None:
        await enter(settings)

    return Every("installation", LOOK_EVERY, look)


async def _ours(settings: Settings) -> Installation:
    metadata = await describe(settings, sharded(settings.generation))
    partitions = shards_of(topic.partitions for topic in metadata.topics.values())
    if partitions is None:
        raise TransientError(
            f"the broker at {settings.kafka} does not have our topics yet",
            cause="kafka.topics",
            fix="headrace topics apply",
        )
    return Installation(metadata.cluster, settings.topic_prefix, partitions)
