"""Runs the canaries: on a timer, after a catalogue batch, on command, and again to confirm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from prometheus_client import Gauge

from schemas.judgements import Canary
from services.monitor.alerts import AlertBook
from services.monitor.canary_book import CanaryBook
from services.monitor.canary_store import CanaryStore
from services.monitor.domain import findings
from services.monitor.domain.observation import Observation
from services.monitor.domain.reach import partial, reach
from services.monitor.domain.schedule import Reason, Timing, due
from services.monitor.domain.score import mean, score
from services.monitor.domain.shards import position
from services.monitor.domain.verdict import Circumstances, Memory, Verdict, judge, overall
from services.monitor.search_client import Answer, CanaryRefusedError, SearchClient, SearchFailedError
from services.monitor.settings import Settings
from shared.ports import Clock
from shared.registry import Registry

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
    store: CanaryStore
    search: SearchClient
    registry: Registry
    alerts: AlertBook
    clock: Clock


@dataclass
class _Noticed:
    """The state of the world as of the last look, to see it change."""

    positions: Mapping[int, int] = field(default_factory=dict)
    canaries: Sequence[Canary] = ()
    index_changed: bool = False


class CanaryWatch:
    """Looks often, runs when due; one run at a time."""

    def __init__(self, settings: Settings, instruments: Instruments) -> None:
        self._settings = settings.monitor
        self._generation = settings.generation
        self._with = instruments
        self._timing = Timing()
        self._noticed = _Noticed()

    async def request(self, _: Mapping[str, str]) -> None:
        """Run at the next look (the `canaries.run` command)."""
        self._timing = self._timing.ordered(self._with.clock.now())

    async def look(self, epoch: int) -> None:
        """Notice what changed, and run when it is time."""
        canaries = await self._notice()
        reason = due(self._timing, self._with.clock.now(), self._settings.pace)
        if reason is not None:
            await self._run(canaries, reason, epoch)

    async def _notice(self) -> Sequence[Canary]:
        canaries = await self._with.book.read()
        positions = position(await self._with.registry.owners())
        moved = any(at > self._noticed.positions.get(shard, at) for shard, at in positions.items())
        if moved or canaries != self._noticed.canaries:
            self._timing = self._timing.changed(self._with.clock.now())
        self._noticed.index_changed = self._noticed.index_changed or moved
        self._noticed.positions = {**self._noticed.positions, **positions}
        self._noticed.canaries = canaries
        return canaries

    async def _run(self, canaries: Sequence[Canary], reason: Reason, epoch: int) -> None:
        started = self._with.clock.now()
        seen = Circumstances(self._generation, started, self._noticed.index_changed)
        self._noticed.index_changed = False
        memories = await self._with.store.memories()
        answers = await self._with.search.ask_all(canaries, generation=self._generation)
        verdicts = self._judge(canaries, answers, memories, seen=seen)
        gone = memories.keys() - {canary.canary_id for canary in canaries}
        observations = [
            *_reached(answers, self._generation),
            *_accepted(canaries, answers, seen),
            *self._words(verdicts, seen),
            *findings.gone(await self._with.alerts.lives(), canaries),
        ]
        settled = await self._with.alerts.observe(
            observations, policy=self._settings.canary_alerts, epoch=epoch
        )
        await self._with.store.store(verdicts, gone=gone, epoch=epoch)
        self._timing = self._timing.ran(started, self._with.clock.now(), unsettled=not settled)
        self._measure(verdicts, answers, reason)

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
            log.info("canaries.ran", reason=reason, recall=round(recall, 4), **outcomes)
        elif answers:
            log.warning("canaries.unjudged", reason=reason, **outcomes)


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
