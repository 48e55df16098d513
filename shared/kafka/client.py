"""Kafka through aiokafka: records as plain values, waiting for a broker."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import structlog
from aiokafka import ConsumerRecord

from shared.errors import TransientError
from shared.kafka.fetched import DamagedRecord
from shared.kafka.metadata import ClusterMetadata, describe
from shared.patience import hurried
from shared.pauses import pauses
from shared.records import Partition, Record
from shared.settings import Settings

log = structlog.get_logger()

WAIT_SECONDS = 3.0
APPENDED = 1
"""Kafka's timestamp type of a topic that keeps the broker's time."""
LAST_MILLISECOND = 253_402_300_799_999
"""The end of the year 9999, beyond which no calendar goes; a producer may claim any 64 bits."""


def as_records(raws: Sequence[ConsumerRecord], prefix: str, *, now: datetime) -> Iterator[Record]:
    """Yield what was read of one partition as plain values, whatever timestamps were claimed.

    Its topic is without `prefix`. A producer's clock that is ahead counts as `now`: nothing that was read was
    written later.
    """
    if not raws:
        return
    partition = Partition(raws[0].topic.removeprefix(prefix), raws[0].partition)
    for raw in raws:
        appended = raw.timestamp_type == APPENDED
        milliseconds = min(max(0, raw.timestamp), LAST_MILLISECOND)
        timestamp = datetime.fromtimestamp(milliseconds / 1000, UTC)
        yield Record(
            partition,
            raw.offset,
            raw.key,
            raw.value,
            timestamp if appended else min(timestamp, now),
            tuple(raw.headers),
            appended,
            raw.damage if type(raw) is DamagedRecord else None,
        )


async def wait_for_broker(settings: Settings, topics: Iterable[str] = ()) -> dict[str, int]:
    """Return the partitions of each of `topics` once the broker answers and has them all.

    Until then, one log line every few seconds, which says why; in a hurry, the reason is raised as
    `TransientError`.
    """
    wanted = list(topics)
    waiting = object()
    try:
        while True:
            try:
                return await require_topics(settings, wanted)
            except TransientError as error:
                if hurried():
                    raise
                pauses.begin(waiting, ", ".join(wanted) or "the broker", error)
                log.warning("broker.waiting", reason=str(error))
            await asyncio.sleep(WAIT_SECONDS)
    finally:
        pauses.end(waiting)


async def partition_counts(settings: Settings, topics: Iterable[str]) -> dict[str, int]:
    """Return how many partitions each topic has (0: it does not exist yet).

    Raises `TransientError` when no broker answers, or it refuses.
    """
    wanted = list(topics)
    return _counts(await describe(settings, wanted), wanted)


async def require_topics(settings: Settings, topics: Iterable[str]) -> dict[str, int]:
    """Return the partitions of each topic, without waiting; raises as `require_cluster`."""
    wanted = list(topics)
    return _counts(await require_cluster(settings, wanted), wanted)


async def require_cluster(settings: Settings, topics: Iterable[str]) -> ClusterMetadata:
    """Return the cluster with these topics, without waiting: for commands, which say what is missing and end.

    Raises `TransientError` when no broker answers, it refuses, or it has not all of them.
    """
    wanted = list(topics)
    cluster = await describe(settings, wanted)
    counts = _counts(cluster, wanted)
    if missing := [settings.topic_prefix + topic for topic, count in counts.items() if not count]:
        raise TransientError(
            f"the broker at {settings.kafka} has no topic {', '.join(missing)}",
            cause="kafka.topics",
            fix="headrace topics apply",
        )
    return cluster


def _counts(cluster: ClusterMetadata, topics: Iterable[str]) -> dict[str, int]:
    known = cluster.topics
    return {topic: known[topic].partitions if topic in known else 0 for topic in topics}
