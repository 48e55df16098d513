"""Mines the queries that moved: a bounded number at a time, those that have waited longest first.

Read the marks and what is known, ask the index, decide, remember what will be published, write it and wait
for the broker, remember what there is now, then forget the marks unless there were new ones: a kill
anywhere in between publishes once more, never once too few.

The owner of partition 0 mines all queries. A query's facts lie in several partitions, and its negatives
need one writer: with one miner nobody has to agree on whose a query is.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import structlog

from schemas.judgements import Negative
from services.negatives import metrics
from services.negatives.domain.candidates import Retrieved
from services.negatives.domain.mine import Mined, mine
from services.negatives.domain.plan import Plan, plan
from services.negatives.domain.rules import Rules
from services.negatives.facts import Facts
from services.negatives.store import MINER, Held, Known, Store
from shared.errors import FencedError, TransientError
from shared.ports import Clock, Publisher, outgoing
from shared.records import Outgoing

log = structlog.get_logger()

EVERY = timedelta(seconds=1)
WATCH_EVERY = timedelta(seconds=10)


class Live(NamedTuple):
    """What tells the live index from others."""

    generation: str
    fingerprint: str


class Index(Protocol):
    """The live index, as search answers from it; what fails for now raises `TransientError`."""

    async def live(self) -> Live:
        """Return the live generation and its model."""
        ...

    async def retrieve(self, query: str, wanted: Plan) -> Retrieved | None:
        """Return what it proposes for a query, and what it knows of positives; None: it refuses the query."""
        ...


class Records(Protocol):
    """The log of a generation's index records."""

    async def written(self, generation: str) -> int:
        """Return how many were written so far; 0 when that is not known now."""
        ...


class Upkeep(NamedTuple):
    """When all queries are mined again although neither index nor rules are others."""

    records: int = 0
    """After so many index records, or when the log is a quarter longer: whichever comes first; 0: never."""
    every: timedelta = timedelta(hours=1)
    """But no oftener than that."""

    def is_due(self, held: Held, written: int, now: datetime) -> bool:
        """Whether the catalogue has changed a lot since, and long enough ago."""
        news = written - held.written
        much = self.records > 0 and news > 0 and news >= min(self.records, held.written / 4)
        return much and now - held.marked >= self.every


class Miner:
    """Mines while this process owns partition 0."""

    def __init__(
        self, facts: Facts, store: Store, index: Index, *, publisher: Publisher, clock: Clock
    ) -> None:
        self._facts = facts
        self._store = store
        self._index = index
        self._publisher = publisher
        self._clock = clock

    async def tick(self, rules: Rules, *, settle: timedelta, limit: int) -> None:
        """Mine up to `limit` queries that moved longer than `settle` ago."""
        held = self._facts.held.get(MINER)
        if held is None:
            return
        try:
            for query in await self._store.due(self._clock.now() - settle, limit):
                await self._attempt(held, query, rules)
        except FencedError:
            if self._facts.held.get(MINER) is held:
                raise
            log.info("negatives.partition_gone")  # the partition was revoked while we worked
        metrics.waiting.set(await self._store.waiting())

    async def watch(self, rules: Rules, upkeep: Upkeep, records: Records) -> None:
        """Mark every query again when there is reason to.

        Another index is live, or other rules hold, than when it was mined; or much was written since.
        """
        held = self._facts.held.get(MINER)
        if held is None:
            return
        live = await self._index.live()
        against, now = f"{live.generation} {live.fingerprint} {rules.name}", self._clock.now()
        written = await records.written(live.generation)
        if against == held.against and not upkeep.is_due(held, written, now):
            return
        try:
            await self._store.mark_all(now)
            await self._store.mined_against(held, against, written=written, now=now)
        except FencedError:
            if self._facts.held.get(MINER) is held:
                raise
            return
        log.info("negatives.mined_again", generation=live.generation, records=written)

    async def _attempt(self, held: Held, query: str, rules: Rules) -> None:
        try:
            await self._mine(held, query, rules)
        except TransientError:  # it may be this query only: the others must not wait for it
            await self._store.postpone(query, self._clock.now())
            raise

    async def _mine(self, held: Held, query: str, rules: Rules) -> None:
        known = await self._store.known(query)
        wanted = await self._planned(held, query, known, rules=rules)
        mined = await self._mined(query, wanted, rules) if wanted else Mined()
        if wanted is None:
            metrics.mined.labels("no_positive").inc()
        chosen = [negative.product_id for negative in mined.negatives]
        gone = sorted(known.chosen - set(chosen))
        if chosen or gone:
            await self._store.promise(held, [(query, chosen)], mark=False, now=self._clock.now())
            await self._publish(query, mined, gone)
            await self._store.settle(held, query, chosen, now=self._clock.now())
        await self._store.forget(query, known)

    async def _planned(self, held: Held, query: str, known: Known, *, rules: Rules) -> Plan | None:
        """Plan the query, tell what is right for it, and learn what is right together with that."""
        wanted = plan(known.facts, rules)
        positives = wanted.positives if wanted else ()
        telling = len(positives) <= rules.together
        best = positives[: rules.together]
        together = await self._store.relate(held, query, best, telling=telling, now=self._clock.now())
        return replace(wanted, together=together) if wanted else None

    async def _mined(self, query: str, wanted: Plan, rules: Rules) -> Mined:
        retrieved = await self._index.retrieve(query, wanted)
        if retrieved is None or not retrieved.scores:
            metrics.mined.labels("unscored" if retrieved else "refused").inc()
            return Mined()
        mined = mine(query, wanted, retrieved, rules=rules, now=self._clock.now())
        metrics.mined.labels("mined").inc()
        for reason, number in mined.refused.items():
            metrics.refused.labels(reason).inc(number)
        return mined

    async def _publish(self, query: str, mined: Mined, gone: list[str]) -> None:
        tombstones = [
            Outgoing(Negative.topic, f"{query}\t{product_id}".encode(), None) for product_id in gone
        ]
        await self._publisher.publish([*map(outgoing, mined.negatives), *tombstones])
        metrics.published.labels("negative").inc(len(mined.negatives))
        metrics.published.labels("tombstone").inc(len(tombstones))
