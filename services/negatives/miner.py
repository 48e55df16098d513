"""Mines the queries that moved: a bounded number at a time, those that have waited longest first.

Read the marks and what is known, ask the index, decide, remember what will be published, write it and wait
for the broker, remember what there is now, then forget the marks unless there were new ones: a kill
anywhere in between publishes once more, never once too few.

The owner of partition 0 mines all queries. A query's facts lie in several partitions, and its negatives
need one writer: with one miner nobody has to agree on whose a query is.
"""

from datetime import timedelta
from typing import Protocol

import structlog

from schemas.judgements import Negative
from services.negatives import metrics
from services.negatives.domain.candidates import Retrieved
from services.negatives.domain.mine import Mined, mine
from services.negatives.domain.plan import Plan, plan
from services.negatives.domain.rules import Rules
from services.negatives.facts import Facts
from services.negatives.store import MINER, Held, Store
from shared.errors import FencedError, TransientError
from shared.ports import Clock, Publisher, outgoing
from shared.records import Outgoing

log = structlog.get_logger()

EVERY = timedelta(seconds=1)
WATCH_EVERY = timedelta(seconds=10)


class Index(Protocol):
    """The live index, as search answers from it; what fails for now raises `TransientError`."""

    async def live(self) -> str:
        """Return what tells the live generation and its model from others."""
        ...

    async def retrieve(self, query: str, positives: tuple[str, ...]) -> Retrieved | None:
        """Return what it proposes for a query, and what it knows of positives; None: it refuses the query."""
        ...


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

    async def watch(self, rules: Rules) -> None:
        """Mark every query again when another index is live, or other rules hold, than when it was mined."""
        held = self._facts.held.get(MINER)
        if held is None:
            return
        live = await self._index.live()
        against = f"{live} {rules.name}"
        if against == held.against:
            return
        try:
            await self._store.mark_all(self._clock.now())
            await self._store.mined_against(held, against)
        except FencedError:
            if self._facts.held.get(MINER) is held:
                raise
            return
        log.info("negatives.mined_again", live=live)

    async def _attempt(self, held: Held, query: str, rules: Rules) -> None:
        try:
            await self._mine(held, query, rules)
        except TransientError:  # it may be this query only: the others must not wait for it
            await self._store.postpone(query, self._clock.now())
            raise

    async def _mine(self, held: Held, query: str, rules: Rules) -> None:
        known = await self._store.known(query)
        wanted = plan(known.facts, rules)
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

    async def _mined(self, query: str, wanted: Plan, rules: Rules) -> Mined:
        retrieved = await self._index.retrieve(query, wanted.positives)
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
