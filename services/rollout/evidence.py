"""Collects what the workers of a generation say of it: owners, readers, statuses, canaries."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from redis.asyncio import Redis

from schemas.catalogue import ProductChange
from schemas.topics import repartition_topic
from services.rollout.domain.readiness import CanaryHealth, GenerationEvidence
from shared.clock import SystemClock
from shared.cluster.members import OwnerRecord, ReaderRecord
from shared.cluster.registry import OwnerRegistry, ReaderRegistry
from shared.generations.canary_results import canary_results
from shared.generations.status import GenerationStatus, GenerationStatusBoard
from shared.settings import Settings

FORWARDED = repartition_topic(ProductChange.topic)
"""Each home has a partition of it, whatever the topic of the changes has."""


class EvidenceCollector:
    """Asks Redis, where everybody announces what it does."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings
        self._statuses = GenerationStatusBoard(redis, settings, worker="rollout", clock=SystemClock())

    async def collect(self, generation: str) -> GenerationEvidence:
        """Return the evidence; raises `TransientError` when Redis is away."""
        namespace = self._settings.namespace
        statuses = await self._statuses.reports()
        announced = Announcements(
            owners=await OwnerRegistry(self._redis, namespace, generation).owners(),
            readers=await ReaderRegistry(self._redis, namespace, f"embedder-{generation}").records(),
            statuses=[status for status in statuses if status.generation == generation],
            canaries=await canary_results(self._redis, namespace, generation),
        )
        return summary(generation, announced, partitions=self._settings.partitions)


@dataclass(frozen=True, kw_only=True)
class Announcements:
    """What everybody says of one generation."""

    owners: Sequence[OwnerRecord] = ()
    readers: Sequence[ReaderRecord] = ()
    """Of the two logs of changes that its embedder reads."""
    statuses: Sequence[GenerationStatus] = ()
    canaries: Mapping[str, CanaryHealth] = field(default_factory=dict)


def summary(generation: str, announced: Announcements, *, partitions: int) -> GenerationEvidence:
    """Put together what was announced; `partitions` are configured, and those who work may know of more."""
    owners, readers, statuses = announced.owners, announced.readers, announced.statuses
    best, furthest = _best(owners), _furthest(readers)
    taken_over = {number for topic, number in furthest if topic == FORWARDED}
    return GenerationEvidence(
        generation=generation,
        partitions=max([partitions, *(owner.partitions for owner in owners)]),
        ready=sum(owner.ready for owner in best),
        documents=sum(owner.documents for owner in best),
        shard_lag=sum(max(0, owner.end_offset - owner.next_offset) for owner in best),
        sources=max([partitions, *(reader.partitions for reader in readers)]),
        taken_over=len(taken_over),
        embedder_lag=sum(end - offset for offset, end in furthest.values()),
        running=frozenset(_name(status) for status in statuses if status.status == "running"),
        waiting={_name(status): status.reason for status in statuses if status.status != "running"},
        given_up={status.worker: status.reason for status in statuses if status.refused},
        canaries=announced.canaries,
    )


def _best(owners: Iterable[OwnerRecord]) -> list[OwnerRecord]:
    """Return one owner a shard: one that is ready, and then the one that is furthest."""
    best: dict[int, OwnerRecord] = {}
    for owner in owners:
        rival = best.get(owner.partition)
        if rival is None or (rival.ready, rival.next_offset) < (owner.ready, owner.next_offset):
            best[owner.partition] = owner
    return list(best.values())


def _furthest(readers: Iterable[ReaderRecord]) -> dict[tuple[str, int], tuple[int, int]]:
    """Return (next offset, end) of each partition whose state has been taken over, of either log."""
    furthest: dict[tuple[str, int], tuple[int, int]] = {}
    for reader in readers:
        if reader.next_offset is not None:
            at, position = (reader.topic, reader.partition), (reader.next_offset, reader.end_offset)
            furthest[at] = max(furthest.get(at, position), position)
    return furthest


def _name(status: GenerationStatus) -> str:
    return f"{status.worker}/{status.instance}"
