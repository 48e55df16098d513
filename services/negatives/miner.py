"""Mines the queries that moved: a bounded number at a time, those that have waited longest first.

Read the marks and the evidence, ask the index, decide, prepare what will be published, write it and wait
for the broker, commit what there is now, then forget the marks unless there were new ones: a kill
anywhere in between publishes once more, never once too few.

What shoppers begin to act upon is taken back before anything is mined, in the same order, without asking the
index and without waiting to settle.

The owner of partition 0 mines all queries. A query's evidence lies in several partitions, and its negatives
need one writer: with one miner nobody has to agree on whose a query is.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from math import nan
from typing import NamedTuple, Protocol

import structlog

from schemas.judgements import Negative
from services.negatives import metrics
from services.negatives.domain.candidates import Retrieved
from services.negatives.domain.mine import Mined, mine
from services.negatives.domain.plan import MiningPlan, passed_by, plan_mining
from services.negatives.domain.precision import Evidence, NegativePrecision, measure, watch
from services.negatives.domain.refresh import RefreshPolicy
from services.negatives.domain.rules import MiningRules
from services.negatives.domain.teaching import lesson
from services.negatives.domain.withdrawal import Withdrawal, why_withdrawn
from services.negatives.evidence import EvidenceHandler
from services.negatives.store import EvidenceState, EvidenceStore, QueryState
from shared.cluster.miner import MINER
from shared.errors import TransientError
from shared.ports import Clock, Publisher, outgoing
from shared.records import Outgoing
from shared.relevance.judge import CrossFitted, teaches_miner
from shared.relevance.learning import LEAST, cross_fitted
from shared.state.fenced import unless_revoked

log = structlog.get_logger()

EVERY = timedelta(seconds=1)
WATCH_EVERY = timedelta(seconds=10)
ACTED_AT_ONCE = 1000
"""Products that shoppers began to act upon, looked at in one go, of each partition."""


class LiveIndex(NamedTuple):
    """What tells the live index from others."""

    generation: str
    fingerprint: str


class Index(Protocol):
    """The live index, as search answers from it; what fails for now raises `TransientError`."""

    async def live(self) -> LiveIndex:
        """Return the live generation and its model."""
        ...

    async def retrieve(self, query: str, plan: MiningPlan) -> Retrieved | None:
        """Return what it proposes for a query, and what it knows of positives; None: it refuses the query."""
        ...


class RecordCounter(Protocol):
    """The log of a generation's index records."""

    async def written(self, generation: str) -> int:
        """Return how many were written so far; 0 when that is not known now."""
        ...


class _Change(NamedTuple):
    """What becomes of a query's negatives: those to publish, and why others are taken back."""

    negatives: Sequence[Negative]
    gone: Mapping[str, Withdrawal]


class Miner:
    """Mines while this process owns partition 0."""

    def __init__(
        self,
        evidence: EvidenceHandler,
        store: EvidenceStore,
        index: Index,
        *,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._evidence = evidence
        self._store = store
        self._index = index
        self._publisher = publisher
        self._clock = clock

    async def tick(self, rules: MiningRules, *, settle: timedelta, limit: int) -> None:
        """Mine up to `limit` queries that moved longer than `settle` ago."""
        state = self._evidence.states.get(MINER)
        if state is None:
            _show(NegativePrecision())
            return
        with unless_revoked(self._evidence.states, MINER):
            await self._withdraw(state, rules)
            for query in await self._store.due(self._clock.now() - settle, limit):
                await self._attempt(state, query, rules)
        metrics.waiting.set(await self._store.waiting())
        _show(await self._store.precision())

    async def watch(self, rules: MiningRules, refresh: RefreshPolicy, records: RecordCounter) -> None:
        """Mark every query again when there is reason to.

        Another index is live, other rules hold, or another judge has a say than when it was mined; or much
        was written since.
        """
        state = self._evidence.states.get(MINER)
        if state is None:
            return
        live = await self._index.live()
        mined_from = f"{live.generation} {live.fingerprint} {rules.name}"
        now = self._clock.now()
        written = await records.written(live.generation)
        news, age = written - state.written, now - state.marked
        is_due = mined_from != state.mined_from or refresh.is_due(news, of=state.written, age=age)
        judges = await self._judges(state, learn=is_due)
        if not is_due and judges.is_near(state.judges):
            state.judges = judges
            return
        with unless_revoked(self._evidence.states, MINER):
            await self._store.mark_all(now)
            await self._store.set_mined_from(state, mined_from, written=written, judges=judges, now=now)
            log.info("negatives.mined_again", generation=live.generation, records=written)

    async def _judges(self, state: EvidenceState, *, learn: bool) -> CrossFitted:
        """Return who judges from now on; they also learn when twice as many queries teach as before."""
        if not learn and await self._store.teachers() < max(LEAST, 2 * state.judges.queries):
            return state.judges
        taught = await asyncio.to_thread(cross_fitted, await self._store.taught())
        if taught is None:
            return state.judges
        metrics.show(taught)
        return taught

    async def _attempt(self, state: EvidenceState, query: str, rules: MiningRules) -> None:
        try:
            await self._mine(state, query, rules)
        except TransientError:  # it may be this query only: the others must not wait for it
            await self._store.postpone(query, self._clock.now())
            raise

    async def _withdraw(self, state: EvidenceState, rules: MiningRules) -> None:
        """Take negatives back that shoppers began to act upon; a mark is forgotten when that is done."""
        marks = await self._store.acted(ACTED_AT_ONCE)
        for query in sorted({mark.query for mark in marks if mark.is_published}):
            before = await self._store.query_state(query)
            passed = passed_by(before.evidence, rules)
            gone = {
                product_id: Withdrawal.ENGAGED
                for product_id in (before.published & before.evidence.keys()) - passed
                if before.evidence[product_id].actions
            }
            await self._replace(state, query, before, change=_Change((), gone), rules=rules)
        await self._store.forget_acted(marks)

    async def _mine(self, state: EvidenceState, query: str, rules: MiningRules) -> None:
        before = await self._store.query_state(query)
        plan = await self._planned(state, query, before, rules=rules)
        mined = Mined()
        if plan is None:
            await self._store.teach(state, query, ())
            metrics.mined.labels("no_positive").inc()
        else:
            mined = await self._mined(state, query, plan, evidence=before.evidence, rules=rules)
        left = before.published - {negative.product_id for negative in mined.negatives}
        gone = {name: why_withdrawn(name, before.evidence.get(name), plan) for name in left}
        await self._replace(state, query, before, change=_Change(mined.negatives, gone), rules=rules)
        await self._store.forget(query, before)

    async def _replace(
        self, state: EvidenceState, query: str, before: QueryState, *, change: _Change, rules: MiningRules
    ) -> None:
        """Publish what changes of a query's negatives, and remember what it has and how right that was."""
        new = {negative.product_id for negative in change.negatives}
        product_ids, now = sorted((before.published | new) - change.gone.keys()), self._clock.now()
        if not (new or change.gone or before.watched):
            return
        watched = watch(before.watched, product_ids, evidence=before.evidence, now=now)
        precision = measure(watched, before.evidence, rules.skipped_expected)
        prepared = [(query, product_ids)]
        await self._store.prepare(state, prepared, watched={query: watched}, mark=False, now=now)
        await self._publish(query, change)
        await self._store.commit(state, query, products=product_ids, precision=precision, now=now)
        for reason in change.gone.values():
            metrics.withdrawn.labels(reason.value).inc()

    async def _planned(
        self, state: EvidenceState, query: str, before: QueryState, *, rules: MiningRules
    ) -> MiningPlan | None:
        """Plan the query, remember its positives, and learn its co-positives."""
        plan = plan_mining(before.evidence, rules)
        positives = plan.positives if plan else ()
        is_specific = len(positives) <= rules.co_positive_limit
        best = positives[: rules.co_positive_limit]
        now = self._clock.now()
        co_positives = await self._store.relate(state, query, best, is_specific=is_specific, now=now)
        judge = state.judges.of(query)
        return replace(plan, co_positives=co_positives, judge=judge) if plan else None

    async def _mined(
        self, state: EvidenceState, query: str, plan: MiningPlan, *, evidence: Evidence, rules: MiningRules
    ) -> Mined:
        retrieved = await self._index.retrieve(query, plan)
        if retrieved is not None and teaches_miner(query):
            await self._store.teach(state, query, lesson(evidence, retrieved))
        if retrieved is None or not retrieved.scores:
            metrics.mined.labels("unscored" if retrieved else "refused").inc()
            return Mined()
        mined = mine(query, plan, retrieved, rules=rules, now=self._clock.now())
        metrics.mined.labels("mined").inc()
        for reason, number in mined.refused.items():
            metrics.refused.labels(reason).inc(number)
        return mined

    async def _publish(self, query: str, change: _Change) -> None:
        tombstones = [
            Outgoing(Negative.topic, f"{query}\t{product_id}".encode(), None)
            for product_id in sorted(change.gone)
        ]
        await self._publisher.publish([*map(outgoing, change.negatives), *tombstones])
        metrics.published.labels("negative").inc(len(change.negatives))
        metrics.published.labels("tombstone").inc(len(tombstones))


def _show(precision: NegativePrecision) -> None:
    metrics.looked_at.set(precision.looked_at)
    metrics.precision.set(nan if precision.share is None else precision.share)
