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
from services.monitor.drift.domain.rules import DriftRule
from services.monitor.drift.domain.tally import AnsweredQuery, WindowTally, tally_queries
from services.monitor.drift.settings import DriftSettings
from services.monitor.generations import WatchedGenerations
from shared.arrays import Vectors
from shared.ports import Clock
from shared.records import UNKNOWN_LOG, Applied, Batch, Log, Partition, Record
from shared.state.fenced import FencedState, StateKeys
from shared.state.hash import RedisHash
from shared.state.redis import text, transient

TALLIES = "tallies"
SHORTEST = 8
"""Dimensions below which a vector is none."""
AHEAD = timedelta(minutes=5)
WindowKey = tuple[int, str]
"""A window's number and a generation; the generation is empty when the message does not name it."""
Contribution = tuple[WindowKey, AnsweredQuery | WindowTally]
"""What a message adds to which window: outcomes are a tally at once, queries are tallied together."""


class TallyKeeper:
    """The `PartitionHandler` of `search.queries.v1` and `search.outcomes.v1`.

    A window's tally so far is read, added to and written back whole, together with the offset: a batch
    that comes again (the reply was lost) finds its own offset and adds nothing. What cannot be read is
    dead-lettered by the workers that live on it; here it counts nothing. Windows that are over and judged
    are removed by the leader (`drop`).
    """

    def __init__(
        self,
        redis: Redis,
        *,
        namespace: str,
        settings: DriftSettings,
        generations: WatchedGenerations,
        clock: Clock,
    ) -> None:
        self._redis = redis
        self._namespace = namespace
        self._rule: DriftRule = settings.rule
        self._configured = settings.threshold
        self._generations = generations
        self._clock = clock
        self._tallies = RedisHash(redis, TALLIES)
        self._held: dict[Partition, FencedState] = {}

    async def assigned(self, partition: Partition, source: Log = UNKNOWN_LOG) -> int | None:
        """Take over with a new epoch; return the first offset that is not tallied."""
        held = await self._tallies.claim(self._keys(partition), log=source)
        self._held[partition] = held
        return held.next_offset

    def decode(self, record: Record) -> Contribution | None:
        """Return what counts of a query or an outcome, and where; None for what counts nothing."""
        newest = self._rule.number(self._clock.now() + AHEAD)
        try:
            contribution = self._contribution(record)
        except (WireError, ValidationError):
            return None
        return contribution if contribution is not None and contribution[0][0] <= newest else None

    def _contribution(self, record: Record) -> Contribution | None:
        """Return it; None of history, which was answered elsewhere."""
        if record.partition.topic == Outcome.topic:
            outcome = Outcome.decode(record.value or b"")
            return (self._rule.number(outcome.event_time), outcome.generation or ""), of_outcome(outcome)
        query = decode_query(record.value, timestamp=record.timestamp)
        if query.history:
            return None
        generation = query.ranking.generation if query.ranking else ""
        return (self._rule.number(query.timestamp), generation), of_query(query)

    async def handle(self, partition: Partition, batch: Batch[Contribution | None]) -> Applied:
        """Add the batch to its windows; one that comes again adds nothing."""
        contributions = [contribution for _, contribution in batch.messages if contribution is not None]
        applied = Applied(applied=len(contributions), no_op=len(batch.messages) - len(contributions))
        held = self._held[partition]
        sums: dict[str, str] = {}
        for (number, generation), added in tally_windows(contributions, self._threshold).items():
            name = f"{number}:{generation}"
            with transient():
                before = await self._redis.hget(held.keys.key(TALLIES), name)
            whole = added if before is None else WindowTally.model_validate_json(before) + added
            sums[name] = whole.model_dump_json(exclude_defaults=True)
        # Of a batch that is in there already these sums are wrong; but so is its offset: nothing is written.
        await self._tallies.put(held, sums, next_offset=batch.next_offset)
        return applied

    async def revoked(self, partition: Partition) -> None:
        """Forget the epoch."""
        self._held.pop(partition, None)

    def _threshold(self, generation: str) -> float | None:
        return self._generations.threshold(generation) if self._configured is None else self._configured

    async def windows(self, partitions: Iterable[Partition]) -> dict[int, dict[str, WindowTally]]:
        """Return the tallies of all partitions: window, generation, sum of the parts."""
        windows: dict[int, dict[str, WindowTally]] = {}
        for partition in partitions:
            stored = await self._tallies.read(self._keys(partition))
            for name, value in stored.items():
                number, _, generation = name.partition(":")
                window = windows.setdefault(int(number), {})
                tally = WindowTally.model_validate_json(value)
                window[generation] = window[generation] + tally if generation in window else tally
        return windows

    async def drop(self, partitions: Iterable[Partition], *, upto: int) -> None:
        """Remove the windows up to and with `upto`: they are judged."""
        for partition in partitions:
            tallies = self._keys(partition).key(TALLIES)
            with transient():
                names = [text(name) for name in await self._redis.hkeys(tallies)]
                if over := [name for name in names if int(name.partition(":")[0]) <= upto]:
                    await self._redis.hdel(tallies, *over)

    def _keys(self, partition: Partition) -> StateKeys:
        kind = "outcomes" if partition.topic == Outcome.topic else "queries"
        return StateKeys(f"{self._namespace}:{{monitor-drift-{kind}-{partition.number}}}:")


def tally_windows(
    contributions: Sequence[Contribution], threshold: Callable[[str], float | None]
) -> Mapping[WindowKey, WindowTally]:
    """Return one tally a window and generation; `threshold`: that of a generation."""
    tallies: dict[WindowKey, WindowTally] = {}
    queries: dict[WindowKey, list[AnsweredQuery]] = {}
    for window, contribution in contributions:
        if isinstance(contribution, AnsweredQuery):
            queries.setdefault(window, []).append(contribution)
        else:
            tallies[window] = tallies.get(window, WindowTally()) + contribution
    for window, of_window in queries.items():
        tally = tally_queries(of_window, threshold=threshold(window[1]))
        tallies[window] = tallies.get(window, WindowTally()) + tally
    return tallies


def of_query(query: SearchQuery) -> AnsweredQuery:
    """Return what counts of a logged query."""
    ranking = query.ranking
    return AnsweredQuery(
        text=query.user_query,
        hits=query.found,
        similarities=ranking.similarities if ranking else (),
        vector=vector_of(ranking.vector) if ranking else None,
        fingerprint=ranking.fingerprint if ranking and ranking.similarities else "",
    )


def of_outcome(outcome: Outcome) -> WindowTally:
    """Return what counts of an outcome: products shown, or products acted on.

    Nothing counts of an interleaved answer: what shoppers do on it is as much the candidate's doing.
    """
    if outcome.trial is not None and outcome.trial.interleaved:
        return WindowTally()
    name = "shown" if outcome.action == "impression" else outcome.action
    return WindowTally(counts={name: len(outcome.items)} if name in OUTCOMES else {})


OUTCOMES = {"shown", "click", "add_to_cart", "purchase"}


def vector_of(encoded: str) -> Vectors | None:
    """Return the vector of that base64, or None when it is none."""
    try:
        vector = np.frombuffer(b64decode(encoded, validate=True), dtype="<f2").astype(np.float32)
    except (Base64Error, ValueError):
        return None
    usable = vector.size >= SHORTEST and np.isfinite(vector).all()
    return vector if usable else None
