"""Fits what may be expected of products, now and again; one worker does it for all.

That worker is the owner of partition 0, and the result lies under that partition's hash tag: a worker
that has lost the partition is refused by its epoch, and whoever takes over goes on.
"""

import asyncio
from datetime import datetime, timedelta

import structlog
from redis.asyncio import Redis

from services.judgements import lua
from services.judgements.counts import WindowCounts
from services.judgements.domain.examination import fit
from services.judgements.domain.statistics import BusinessObjective
from services.judgements.state import JudgementState
from services.judgements.window import OutcomeWindow
from shared.ports import Clock
from shared.state.fenced import FencedBatch, unless_revoked

log = structlog.get_logger()

EVERY = timedelta(seconds=1)
"""How often to look whether a fit is due."""
PAUSE = timedelta(seconds=5)
IDLE_SHARE = 20
"""After a fit there is a pause of so many times what it took."""
GROWTH = 0.05
"""A fit is due when the outcomes counted have changed by this share, or at all after `STALE`."""
STALE = timedelta(minutes=10)
TOLERANCE = 0.05
"""Expectations that differ less are not worth publishing every pair again."""
FITTER = 0


class ClickModelFitter:
    """Keeps the expectations of an incarnation up to date, when this process owns partition 0."""

    def __init__(
        self,
        redis: Redis,
        window: OutcomeWindow,
        counts: WindowCounts,
        *,
        clock: Clock,
        objective: BusinessObjective,
    ) -> None:
        self._window = window
        self._counts = counts
        self._clock = clock
        self._objective = objective
        self._expect = FencedBatch(redis, lua.steps("expect"))
        self._fitted: tuple[datetime, int] | None = None
        self._not_before = clock.now()

    async def tick(self) -> None:
        """Fit, if it is due."""
        held = self._window.held.get(FITTER)
        if held is None:
            self._fitted = None
            return
        outcomes = await self._counts.outcomes(held.incarnation)
        began = self._clock.now()
        if not self._due(outcomes, began):
            return
        with unless_revoked(self._window.held, FITTER):
            await self._fit(held)
            took = self._clock.now() - began
            self._fitted = (began, outcomes)
            self._not_before = began + max(PAUSE, IDLE_SHARE * took)

    def _due(self, outcomes: int, now: datetime) -> bool:
        if not outcomes or now < self._not_before:
            return False
        if self._fitted is None:
            return True
        at, seen = self._fitted
        return abs(outcomes - seen) > (GROWTH * seen if now < at + STALE else 0)

    async def _fit(self, held: JudgementState) -> None:
        known = await self._counts.expectations(held.incarnation)
        evidence = await self._counts.evidence(held.incarnation, first=self._window.first)
        version = known.version + 1
        fitted = await asyncio.to_thread(fit, evidence, self._objective.prior, version)
        if not known.version or not fitted.close_to(known, TOLERANCE):
            await self._expect(held, expectations=fitted.encode().decode())
            log.info("expectations.changed", version=version, pairs=len(evidence), rates=fitted.rates)
