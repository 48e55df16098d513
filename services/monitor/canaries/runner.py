"""Runs the canaries on one generation: on a timer, after a batch, on command, and again to confirm."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from prometheus_client import Gauge

from schemas.judgements import Canary
from services.monitor.alerts.domain.grace import Grace
from services.monitor.alerts.domain.observation import Observation
from services.monitor.alerts.domain.state import AlertPolicy
from services.monitor.alerts.store import AlertStore
from services.monitor.canaries.domain import findings
from services.monitor.canaries.domain.reach import partiality, reachability
from services.monitor.canaries.domain.schedule import Reason, Timing, due
from services.monitor.canaries.domain.verdict import CanaryVerdict, Circumstances, Memory, judge, overall
from services.monitor.canaries.settings import CanarySettings
from services.monitor.canaries.store import CanaryStore
from services.monitor.generations import WatchedGenerations, applied_offsets
from services.monitor.search_probe import CanaryAnswer, CanaryRefusedError, SearchFailedError, SearchProbe
from shared.ports import Clock
from shared.retrieval.recall import mean, score

log = structlog.get_logger()

recall_gauge = Gauge("headrace_canary_recall_ratio", "Mean recall@k of the last canary run", ("generation",))
rank_gauge = Gauge(
    "headrace_canary_reciprocal_rank_ratio", "Mean reciprocal rank of the last canary run", ("generation",)
)
canaries_run = Gauge("headrace_canaries", "Canaries of the last run by outcome", ("generation", "outcome"))


@dataclass(frozen=True, kw_only=True)
class CanaryDependencies:
    """What a runner works with; all but the store of one generation is shared by the runners."""

    store: Callable[[str], CanaryStore]
    """The memory of one generation."""
    search: SearchProbe
    generations: WatchedGenerations
    alerts: AlertStore
    clock: Clock


@dataclass
class _Noticed:
    """The state of the world as of the last tick, to see it change."""

    offsets: Mapping[int, int] = field(default_factory=dict)
    canaries: Sequence[Canary] = ()
    index_changed: bool = False


class CanaryRunner:
    """Notices changes often, runs when due; one run at a time."""

    def __init__(
        self, generation: str, settings: CanarySettings, dependencies: CanaryDependencies, *, grace: Grace
    ) -> None:
        self.quiet = False
        """Whether results are only kept, because the generation is still being built."""
        self._generation = generation
        self._settings = settings
        self._registry = dependencies.generations.registry(generation)
        self._store = dependencies.store(generation)
        self._search = dependencies.search
        self._alerts = dependencies.alerts
        self._clock = dependencies.clock
        self._timing = Timing()
        self._noticed = _Noticed()
        self._grace = grace

    def order(self) -> None:
        """Run at the next tick."""
        self._timing = self._timing.ordered(self._clock.now())

    async def tick(self, canaries: Sequence[Canary], epoch: int) -> None:
        """Notice what changed, and run when it is time."""
        await self._notice(canaries)
        reason = due(self._timing, self._clock.now(), self._settings.pace)
        if reason is not None:
            await self._run(canaries, reason, epoch)

    async def _notice(self, canaries: Sequence[Canary]) -> None:
        offsets = applied_offsets(await self._registry.owners())
        before = self._noticed.offsets
        moved = any(offset > before.get(shard, offset) for shard, offset in offsets.items())
        if moved or canaries != self._noticed.canaries:
            self._timing = self._timing.changed(self._clock.now())
        self._noticed.index_changed = self._noticed.index_changed or moved
        self._noticed.offsets = {**before, **offsets}
        self._noticed.canaries = canaries

    async def _run(self, canaries: Sequence[Canary], reason: Reason, epoch: int) -> None:
        started = self._clock.now()
        circumstances = Circumstances(self._generation, started, self._noticed.index_changed)
        # Before the first await: a batch that is applied while search answers belongs to the next run.
        self._noticed.index_changed = False
        memories = await self._store.memories()
        answers = await self._search.ask_all(canaries, generation=self._generation)
        verdicts = self._judge(canaries, answers, memories, circumstances=circumstances)
        settled = await self._observe_reach(answers, epoch)
        observations = [
            *_acceptance(canaries, answers, circumstances),
            *self._findings(verdicts, circumstances),
            *findings.removed(await self._alerts.states(), canaries, circumstances),
        ]
        settled &= await self._observe(observations, self._settings.alerts, epoch)
        # The memory last: a kill in between judges this run again, by the same past. The other way around a
        # breach would count in the memory that no alert has seen.
        removed = memories.keys() - {canary.canary_id for canary in canaries}
        await self._store.store(verdicts, gone=removed, epoch=epoch)
        self._timing = self._timing.ran(started, self._clock.now(), unsettled=not settled)
        self._measure(verdicts, answers, reason)

    async def _observe_reach(self, answers: Sequence[CanaryAnswer | SearchFailedError], epoch: int) -> bool:
        """Observe whether search answers, and wholly; return whether that is settled.

        What is still allowed to start is no news, but it is looked at again soon, not at the next timer.
        """
        observations = _reach(answers, self._generation)
        self._grace, counted = self._grace.admit(observations, self._clock.now())
        settled = await self._observe(counted, self._settings.reach_alerts, epoch)
        return settled and len(counted) == len(observations)

    async def _observe(self, observations: Sequence[Observation], policy: AlertPolicy, epoch: int) -> bool:
        """Let the alerts step; return whether they are settled."""
        return self.quiet or await self._alerts.observe(observations, policy=policy, epoch=epoch)

    def _judge(
        self,
        canaries: Sequence[Canary],
        answers: Sequence[CanaryAnswer | SearchFailedError],
        memories: Mapping[str, Memory],
        *,
        circumstances: Circumstances,
    ) -> list[CanaryVerdict]:
        """Judge the whole answers; failed and partial ones say nothing about a canary."""
        return [
            judge(
                canary,
                score(canary.product_ids, answer.product_ids, k=canary.k),
                memories.get(canary.canary_id, Memory()),
                rule=self._settings.rule,
                circumstances=circumstances,
            )
            for canary, answer in zip(canaries, answers, strict=True)
            if isinstance(answer, CanaryAnswer) and not answer.partial
        ]

    def _findings(self, verdicts: Sequence[CanaryVerdict], circumstances: Circumstances) -> list[Observation]:
        observations = [findings.recall(verdict, circumstances) for verdict in verdicts]
        ranks = (findings.rank(verdict, circumstances) for verdict in verdicts)
        observations += [rank for rank in ranks if rank is not None]
        whole = overall(verdicts, rule=self._settings.rule)
        return observations if whole is None else [*observations, findings.mean_recall(whole, circumstances)]

    def _measure(
        self,
        verdicts: Sequence[CanaryVerdict],
        answers: Sequence[CanaryAnswer | SearchFailedError],
        reason: Reason,
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
        event = {"generation": self._generation, "reason": reason, **outcomes}
        if verdicts:
            recall = mean([verdict.result.recall for verdict in verdicts])
            rank = mean([verdict.result.reciprocal_rank for verdict in verdicts])
            recall_gauge.labels(self._generation).set(recall)
            rank_gauge.labels(self._generation).set(rank)
            log.info("canaries.ran", recall=round(recall, 4), **event)
        elif answers:
            log.warning("canaries.unjudged", **event)


def _acceptance(
    canaries: Sequence[Canary],
    answers: Sequence[CanaryAnswer | SearchFailedError],
    circumstances: Circumstances,
) -> list[Observation]:
    """Observe of each canary whether search refused it; one that failed otherwise says nothing."""
    return [
        findings.refused(
            canary, str(answer) if isinstance(answer, CanaryRefusedError) else None, circumstances
        )
        for canary, answer in zip(canaries, answers, strict=True)
        if isinstance(answer, CanaryAnswer | CanaryRefusedError)
    ]


def _reach(answers: Sequence[CanaryAnswer | SearchFailedError], generation: str) -> list[Observation]:
    """Observe whether search could be asked; a canary that it refused says nothing about search."""
    answers = [answer for answer in answers if not isinstance(answer, CanaryRefusedError)]
    failures = [str(answer) for answer in answers if isinstance(answer, SearchFailedError)]
    incomplete = sum(isinstance(answer, CanaryAnswer) and answer.partial for answer in answers)
    observations = (
        reachability(len(answers), failures, generation=generation),
        partiality(len(answers) - len(failures), incomplete, generation=generation),
    )
    return [observation for observation in observations if observation is not None]
