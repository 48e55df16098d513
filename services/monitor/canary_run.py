"""Runs the canaries on one generation: on a timer, after a batch, on command, and again to confirm."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from prometheus_client import Gauge

from schemas.judgements import Canary
from services.monitor.alerts import AlertBook
from services.monitor.canary_book import CanaryBook
from services.monitor.canary_store import CanaryStore
from services.monitor.domain import findings
from services.monitor.domain.grace import Grace
from services.monitor.domain.life import Policy
from services.monitor.domain.observation import Observation
from services.monitor.domain.reach import partial, reach
from services.monitor.domain.schedule import Reason, Timing, due
from services.monitor.domain.score import mean, score
from services.monitor.domain.shards import position
from services.monitor.domain.verdict import Circumstances, Memory, Verdict, judge, overall
from services.monitor.generations import Generations
from services.monitor.search_client import Answer, CanaryRefusedError, SearchClient, SearchFailedError
from services.monitor.settings import MonitorSettings
from shared.ports import Clock

log = structlog.get_logger()

mean_recall = Gauge("headrace_canary_recall_ratio", "Mean recall@k of the last canary run", ("generation",))
mean_rank = Gauge(
    "headrace_canary_reciprocal_rank_ratio", "Mean reciprocal rank of the last canary run", ("generation",)
)
canaries_run = Gauge("headrace_canaries", "Canaries of the last run by outcome", ("generation", "outcome"))


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """What the canary watch works with."""

    book: CanaryBook
    store: Callable[[str], CanaryStore]
    """The memory of one generation."""
    search: SearchClient
    generations: Generations
    alerts: AlertBook
    clock: Clock


@dataclass
class _Noticed:
    """The state of the world as of the last look, to see it change."""

    positions: Mapping[int, int] = field(default_factory=dict)
    canaries: Sequence[Canary] = ()
    index_changed: bool = False


class GenerationWatch:
    """Looks often, runs when due; one run at a time."""

    def __init__(self, generation: str, settings: MonitorSettings, instruments: Instruments) -> None:
        self.quiet = False
        """Whether results are only kept, because the generation is still being built."""
        self._generation = generation
        self._settings = settings
        self._registry = instruments.generations.registry(generation)
        self._store = instruments.store(generation)
        self._search = instruments.search
        self._alerts = instruments.alerts
        self._clock = instruments.clock
        self._timing = Timing()
        self._noticed = _Noticed()
        self._grace = Grace(span=settings.grace)

    def order(self) -> None:
        """Run at the next look."""
        self._timing = self._timing.ordered(self._clock.now())

    async def look(self, canaries: Sequence[Canary], epoch: int) -> None:
        """Notice what changed, and run when it is time."""
        await self._notice(canaries)
        reason = due(self._timing, self._clock.now(), self._settings.pace)
        if reason is not None:
            await self._run(canaries, reason, epoch)

    async def _notice(self, canaries: Sequence[Canary]) -> None:
        positions = position(await self._registry.owners())
        moved = any(at > self._noticed.positions.get(shard, at) for shard, at in positions.items())
        if moved or canaries != self._noticed.canaries:
            self._timing = self._timing.changed(self._clock.now())
        self._noticed.index_changed = self._noticed.index_changed or moved
        self._noticed.positions = {**self._noticed.positions, **positions}
        self._noticed.canaries = canaries

    async def _run(self, canaries: Sequence[Canary], reason: Reason, epoch: int) -> None:
        started = self._clock.now()
        seen = Circumstances(self._generation, started, self._noticed.index_changed)
        self._noticed.index_changed = False
        memories = await self._store.memories()
        answers = await self._search.ask_all(canaries, generation=self._generation)
        verdicts = self._judge(canaries, answers, memories, seen=seen)
        gone = memories.keys() - {canary.canary_id for canary in canaries}
        settled = await self._say_reached(answers, epoch)
        observations = [
            *_accepted(canaries, answers, seen),
            *self._words(verdicts, seen),
            *findings.gone(await self._alerts.lives(), canaries, seen),
        ]
        settled &= await self._tell(observations, self._settings.canary_alerts, epoch)
        await self._store.store(verdicts, gone=gone, epoch=epoch)
        self._timing = self._timing.ran(started, self._clock.now(), unsettled=not settled)
        self._measure(verdicts, answers, reason)

    async def _say_reached(self, answers: Sequence[Answer | SearchFailedError], epoch: int) -> bool:
        """Say whether search answers, and wholly; return whether that is settled.

        What is still allowed to start is no news, but it is looked at again soon, not at the next timer.
        """
        seen = _reached(answers, self._generation)
        self._grace, news = self._grace.admit(seen, self._clock.now())
        told = await self._tell(news, self._settings.reach_alerts, epoch)
        return told and len(news) == len(seen)

    async def _tell(self, observations: Sequence[Observation], policy: Policy, epoch: int) -> bool:
        """Let the alerts know; return whether they are settled."""
        return self.quiet or await self._alerts.observe(observations, policy=policy, epoch=epoch)

    def _judge(
        self,
        canaries: Sequence[Canary],
        answers: Sequence[Answer | SearchFailedError],
        memories: Mapping[str, Memory],
        *,
        seen: Circumstances,
    ) -> list[Verdict]:
        """Judge the whole answers; failed and partial ones say nothing about a canary."""
        return [
            judge(
                canary,
                score(canary.product_ids, answer.product_ids, k=canary.k),
                memories.get(canary.canary_id, Memory()),
                rule=self._settings.canary_rule,
                seen=seen,
            )
            for canary, answer in zip(canaries, answers, strict=True)
            if isinstance(answer, Answer) and not answer.partial
        ]

    def _words(self, verdicts: Sequence[Verdict], seen: Circumstances) -> list[Observation]:
        words = [findings.recall(verdict, seen) for verdict in verdicts]
        words += [said for verdict in verdicts if (said := findings.rank(verdict, seen)) is not None]
        together = overall(verdicts, rule=self._settings.canary_rule)
        return words if together is None else [*words, findings.together(together, seen)]

    def _measure(
        self, verdicts: Sequence[Verdict], answers: Sequence[Answer | SearchFailedError], reason: Reason
    ) -> None:
        failed = sum(isinstance(answer, SearchFailedError) for answer in answers)
        breached = sum(verdict.result.breached for verdict in verdicts)
        outcomes = {
            "healthy": len(verdicts) - breached,
            "breached": breached,
            "failed": failed,
            "partial": len(answers) - failed - len(verdicts),
        }
        for outcome, count in outcomes.items():
            canaries_run.labels(self._generation, outcome).set(count)
        if verdicts:
            recall = mean([verdict.result.recall for verdict in verdicts])
            mean_recall.labels(self._generation).set(recall)
            mean_rank.labels(self._generation).set(
                mean([verdict.result.reciprocal_rank for verdict in verdicts])
            )
            log.info(
                "canaries.ran",
                generation=self._generation,
                reason=reason,
                recall=round(recall, 4),
                **outcomes,
            )
        elif answers:
            log.warning("canaries.unjudged", generation=self._generation, reason=reason, **outcomes)


def _accepted(
    canaries: Sequence[Canary], answers: Sequence[Answer | SearchFailedError], seen: Circumstances
) -> list[Observation]:
    """Say of each canary whether search refused it; one that failed otherwise says nothing."""
    return [
        findings.refused(canary, str(answer) if isinstance(answer, CanaryRefusedError) else None, seen)
        for canary, answer in zip(canaries, answers, strict=True)
        if isinstance(answer, Answer | CanaryRefusedError)
    ]


def _reached(answers: Sequence[Answer | SearchFailedError], generation: str) -> list[Observation]:
    answers = [answer for answer in answers if not isinstance(answer, CanaryRefusedError)]
    failures = [str(answer) for answer in answers if isinstance(answer, SearchFailedError)]
    incomplete = sum(isinstance(answer, Answer) and answer.partial for answer in answers)
    whole = (
        reach(len(answers), failures, generation=generation),
        partial(len(answers) - len(failures), incomplete, generation=generation),
    )
    return [observation for observation in whole if observation is not None]
