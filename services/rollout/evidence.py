"""Gathers what the workers of a generation say of it: owners, readers, standings, canaries."""

from collections.abc import Iterable

from redis.asyncio import Redis

from schemas.catalogue import ProductChange
from services.rollout.domain.readiness import Evidence
from shared.canary_results import canary_results
from shared.clock import SystemClock
from shared.registry import OwnerRecord, ReaderRecord, Readers, Registry
from shared.settings import Settings
from shared.standing import Standing, Standings


class Witnesses:
    """Asks Redis, where everybody announces what it does."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings
        self._standings = Standings(redis, settings, worker="rollout", clock=SystemClock())

    async def heard(self, generation: str) -> Evidence:
        """Return the evidence; raises `TransientError` when Redis is away."""
        namespace = self._settings.namespace
        owners = await Registry(self._redis, namespace, generation).owners()
        readers = await Readers(self._redis, namespace, f"embedder-{generation}").records()
        said = [each for each in await self._standings.heard() if each.generation == generation]
        best, read = _best(owners), _furthest(readers)
        partitions = max([self._settings.partitions, *(owner.partitions for owner in owners)])
        return Evidence(
            generation=generation,
            partitions=partitions,
            ready=sum(owner.ready for owner in best),
            documents=sum(owner.documents for owner in best),
            shard_lag=sum(max(0, owner.end_offset - owner.next_offset) for owner in best),
            sources=max([self._settings.partitions, *(reader.partitions for reader in readers)]),
            taken_over=len(read),
            embedder_lag=sum(end - (offset or 0) for offset, end in read.values()),
            running=frozenset(_name(each) for each in said if each.status == "running"),
            waiting={_name(each): each.reason for each in said if each.status != "running"},
            refused=next((f"{each.worker}: {each.reason}" for each in said if each.refused), ""),
            canaries=await canary_results(self._redis, namespace, generation),
        )


def _best(owners: Iterable[OwnerRecord]) -> list[OwnerRecord]:
    """Return one owner a shard: one that is ready, and then the one that is furthest."""
    best: dict[int, OwnerRecord] = {}
    for owner in owners:
        known = best.get(owner.partition)
        if known is None or (known.ready, known.next_offset) < (owner.ready, owner.next_offset):
            best[owner.partition] = owner
    return list(best.values())


def _furthest(readers: Iterable[ReaderRecord]) -> dict[int, tuple[int, int]]:
    """Return (next offset, end) of each partition of the changes whose state has been taken over."""
    found: dict[int, tuple[int, int]] = {}
    for reader in readers:
        if reader.topic == ProductChange.topic and reader.next_offset is not None:
            place = reader.next_offset, reader.end_offset
            found[reader.partition] = max(found.get(reader.partition, place), place)
    return found


def _name(each: Standing) -> str:
    return f"{each.worker}/{each.instance}"
