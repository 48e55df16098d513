"""Reads queries and outcomes for the drift watch: a tally of each window, kept with its offset in Redis."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

import numpy as np
from pydantic import ValidationError
from redis.asyncio import Redis

from schemas.judgements import Outcome
from schemas.search import SearchQuery
from schemas.wire.errors import WireError
from schemas.wire.messages import decode_query
from services.monitor.domain.drift.tally import Asked, Tally, of_queries
from services.monitor.domain.drift.watch import Rule
from services.monitor.generations import Generations
from services.monitor.holding import Holding, Keys
from services.monitor.settings import DriftSettings
from shared.adapters.redis import raw, text, transient
from shared.ports import Clock, Vectors
from shared.records import Applied, Batch, Partition, Record

SHORTEST = 8
"""Dimensions below which a vector is none."""
AHEAD = timedelta(minutes=5)
Place = tuple[int, str]
"""A window's number and a generation; the generation is empty when nobody told it."""
Part = tuple[Place, Asked | Tally]


class TallyKeeper:
    """The `PartitionHandler` of `search.queries.v1` and `search.outcomes.v1`.

    A window's tally so far is read, added to and written back whole, together with the offset: a batch
    that comes again (the reply was lost) finds its own offset and adds nothing. What cannot be read is
    dead-lettered by the workers that live on it; here it counts nothing. Windows that are over and judged
    are removed by the leader (`take`).
    """

    def __init__(
        self,
        redis: Redis,
        *,
        namespace: str,
        settings: DriftSettings,
        generations: Generations,
        clock: Clock,
    ) -> None:
        self._redis = redis
        self._namespace = namespace
        self._rule: Rule = settings.rule
        self._configured = settings.threshold
        self._generations = generations
        self._clock = clock
        self._holding = Holding(redis, self._keys)

    async def assigned(self, partition: Partition) -> int | None:
        """Take over with a new epoch; return the first offset that is not tallied."""
        return await self._holding.claim(partition)

    def decode(self, record: Record) -> Part | None:
        """Return what counts of a query or an outcome, and where; None for what counts nothing."""
        newest = self._rule.number(self._clock.now() + AHEAD)
        try:
            if record.partition.topic == Outcome.topic:
                outcome = Outcome.decode(record.value or b"")
                place = (self._rule.number(outcome.event_time), outcome.generation or "")
                part: Part = (place, of_outcome(outcome))
            else:
                query = decode_query(record.value, timestamp=record.timestamp)
                generation = query.ranking.generation if query.ranking else ""
                part = ((self._rule.number(query.timestamp), generation), of_query(query))
        except (WireError, ValidationError):
            return None
        return part if part[0][0] <= newest else None

    async def handle(self, partition: Partition, batch: Batch[Part | None]) -> Applied:
        """Add the batch to its windows; windows from before the last ones judged are left out."""
        parts = [part for _, part in batch.messages if part is not None]
        state, tallies = self._keys(partition)
        with transient():
            following = await self._redis.hget(state, "next")
        if following is not None and int(following) >= batch.next_offset:
            return Applied(applied=len(parts), no_op=len(batch.messages) - len(parts))
        changes: list[str] = []
        for place, added in together(parts, self._threshold).items():
            name = f"{place[0]}:{place[1]}"
            with transient():
                before = await self._redis.hget(tallies, name)
            whole = added if before is None else Tally.model_validate_json(before) + added
            changes += [name, whole.model_dump_json(exclude_defaults=True)]
        await self._holding.write(partition, changes, how="HSET", next_offset=batch.next_offset)
        return Applied(applied=len(parts), no_op=len(batch.messages) - len(parts))

    async def revoked(self, partition: Partition) -> None:
        """Forget the epoch."""
        self._holding.drop(partition)

    def _threshold(self, generation: str) -> float | None:
        return self._generations.threshold(generation) if self._configured is None else self._configured

    async def windows(self, partitions: Iterable[Partition]) -> dict[int, dict[str, Tally]]:
        """Return the tallies of all partitions: window, generation, sum of the parts."""
        found: dict[int, dict[str, Tally]] = {}
        for partition in partitions:
            with transient():
                stored = await self._redis.hgetall(self._keys(partition)[1])
            for name, value in stored.items():
                number, _, generation = text(name).partition(":")
                window = found.setdefault(int(number), {})
                tally = Tally.model_validate_json(raw(value))
                window[generation] = window[generation] + tally if generation in window else tally
        return found

    async def drop(self, partitions: Iterable[Partition], *, upto: int) -> None:
        """Remove the windows up to and with `upto`: they are judged."""
        for partition in partitions:
            tallies = self._keys(partition)[1]
            with transient():
                names = [text(name) for name in await self._redis.hkeys(tallies)]
                if over := [name for name in names if int(name.partition(":")[0]) <= upto]:
                    await self._redis.hdel(tallies, *over)

    def _keys(self, partition: Partition) -> Keys:
        kind = "outcomes" if partition.topic == Outcome.topic else "queries"
        base = f"{self._namespace}:{{monitor-drift-{kind}-{partition.number}}}"
        return f"{base}:state", f"{base}:tallies"


def together(parts: Sequence[Part], threshold: Callable[[str], float | None]) -> Mapping[Place, Tally]:
    """Return one tally a window and generation; `threshold`: that of a generation."""
    asked: dict[Place, list[Asked]] = {}
    found: dict[Place, Tally] = {}
    for place, part in parts:
        if isinstance(part, Asked):
            asked.setdefault(place, []).append(part)
        else:
            found[place] = found[place] + part if place in found else part
    for place, queries in asked.items():
        told = of_queries(queries, threshold=threshold(place[1]))
        found[place] = found[place] + told if place in found else told
    return found


def of_query(query: SearchQuery) -> Asked:
    """Return what counts of a logged query."""
    told = query.ranking is not None or "query_response_object_ids" in query.model_fields_set
    ranking = query.ranking
    return Asked(
        text=query.user_query,
        found=len(query.query_response_object_ids) if told else None,
        similarities=ranking.similarities if ranking else (),
        vector=vector_of(ranking.vector) if ranking else None,
        fingerprint=ranking.fingerprint if ranking and ranking.similarities else "",
    )


def of_outcome(outcome: Outcome) -> Tally:
    """Return what counts of an outcome: products shown, or products acted on."""
    name = "shown" if outcome.action == "impression" else outcome.action
    return Tally(counts={name: len(outcome.items)} if name in OUTCOMES else {})


OUTCOMES = {"shown", "click", "add_to_cart", "purchase"}


def vector_of(encoded: str) -> Vectors | None:
    """Return the vector of that base64, or None when it is none."""
    try:
        vector = np.frombuffer(b64decode(encoded, validate=True), dtype="<f2").astype(np.float32)
    except (Base64Error, ValueError):
        return None
    usable = vector.size >= SHORTEST and np.isfinite(vector).all()
    return vector if usable else None
