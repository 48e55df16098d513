"""The leader's watch over drift: windows that are over are judged, kept, said, and a job is asked for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import Gauge

from schemas.judgements import Outcome
from schemas.search import SearchQuery
from services.monitor.alerts.store import AlertStore
from services.monitor.drift.domain.detector_group import AlarmOnset, DetectorGroup
from services.monitor.drift.domain.findings import DRIFT, advice, job, observations
from services.monitor.drift.domain.state_machine import DriftStateMachine
from services.monitor.drift.domain.tally import WindowTally
from services.monitor.drift.probes import Probes
from services.monitor.drift.settings import DriftSettings
from services.monitor.drift.store import DriftStore
from services.monitor.drift.tally_keeper import TallyKeeper
from services.monitor.generations import WatchedGenerations
from shared.cluster.registry import ReaderRegistry
from shared.ports import Clock, Publisher, outgoing
from shared.records import Partition

TOPICS = (SearchQuery.topic, Outcome.topic)
BEHIND = 1000
"""Messages that a reader may be behind when a window is judged."""
log = structlog.get_logger()
armed_now = Gauge("headrace_drift_speaking", "Signals that have learned enough to alarm", ("scope",))
alarmed_now = Gauge("headrace_drift_alarmed", "Signals that are alarmed", ("scope",))


@dataclass(frozen=True, kw_only=True)
class DriftDependencies:
    """What the watch works with."""

    keeper: TallyKeeper
    readers: ReaderRegistry
    store: DriftStore
    probes: Probes
    generations: WatchedGenerations
    alerts: AlertStore
    publisher: Publisher
    clock: Clock


class DriftWatch:
    """Judges windows in order.

    Order of a window: (1) it is judged; (2) the memory with its number is stored, whole and fenced; (3) its
    tallies are removed; (4) alerts are observed from the memory, again at every tick. A kill after 1 judges
    it again, after 2 it is known to be judged; nothing is said that is not stored.
    """

    def __init__(
        self,
        settings: DriftSettings,
        dependencies: DriftDependencies,
        *,
        partitions: Callable[[], Mapping[str, int]],
    ) -> None:
        self._settings = settings
        self._rule = settings.rule
        self._counts = partitions
        self._with = dependencies
        self._clock = dependencies.clock
        self._began = self._clock.now()
        self._epoch: int | None = None
        """Of the memory that was loaded: another leader may have gone on with it meanwhile."""
        self._machine = self._new_machine()

    async def tick(self, epoch: int) -> None:
        """Judge the windows that are over; then observe what is open."""
        if self._epoch != epoch:
            await self._load(epoch)
        now = self._clock.now()
        over = self._rule.number(now - self._settings.grace) - 1
        # A process that has just begun has announced no reader yet, and would find nobody behind.
        settled = now - self._began >= self._settings.grace
        if settled and over > self._machine.history.closed and await self._caught_up():
            await self._judge(over, epoch)
        await self._observe(epoch)

    def status(self) -> Mapping[str, object]:
        """Return how far each signal has learned and whether it is alarmed, for `GET /drift`."""
        groups = sorted(self._machine.groups.items())
        return {
            "false_alarm_every": self._settings.false_alarm_every.total_seconds(),
            "judged_until": self._rule.at(self._machine.history.closed + 1).start.isoformat(),
            "signals": [row for scope, group in groups for row in _rows(scope, group)],
        }

    async def _caught_up(self) -> bool:
        """Return whether the readers of every partition are near its end: what is behind is not yet over."""
        near = {
            Partition(reader.topic, reader.partition)
            for reader in await self._with.readers.records()
            if reader.next_offset is not None and reader.end_offset - reader.next_offset <= BEHIND
        }
        expected = self._partitions
        return bool(expected) and near.issuperset(expected)

    @property
    def _partitions(self) -> list[Partition]:
        """Those that are tallied: as many as each topic has now."""
        counts = self._counts()
        return [Partition(topic, number) for topic in TOPICS for number in range(counts.get(topic, 0))]

    def _new_machine(self) -> DriftStateMachine:
        return DriftStateMachine(self._rule, self._settings.detector_rule)

    async def _load(self, epoch: int) -> None:
        machine = self._new_machine()
        unfit = machine.load(await self._with.store.load())
        if unfit:
            log.warning("drift.learned_anew", signals=unfit, reason="the settings have changed")
        self._machine, self._epoch = machine, epoch

    async def _judge(self, over: int, epoch: int) -> None:
        """Judge the windows up to `over`, in the order that `DriftWatch` states."""
        windows = await self._with.keeper.windows(self._partitions)
        live = await self._with.generations.live()
        self._machine.keep(live)
        await self._record_processes(live)
        for number in sorted(number for number in windows if number <= over):
            tallies = windows[number]
            if number == over:  # what can be measured now says nothing about an older window
                tallies = await self._with_measures(live, tallies)
            _log_onsets(self._machine.close(number, tallies))
        self._machine.history.closed = max(over, self._machine.history.closed)
        await self._with.store.store(self._machine.dump(), epoch=epoch)
        await self._with.keeper.drop(self._partitions, upto=over)

    async def _record_processes(self, live: Sequence[str]) -> None:
        now = self._clock.now()
        for generation in live:
            running = await self._with.probes.processes(generation)
            self._machine.record_names(f"processes {generation}", running, at=now, words="{} was started")

    async def _with_measures(
        self, live: Sequence[str], tallies: Mapping[str, WindowTally]
    ) -> dict[str, WindowTally]:
        """Return the tallies with what the monitor measures itself."""
        whole, now = dict(tallies), self._clock.now()
        for generation in live:
            tally = whole.get(generation, WindowTally())
            measured, fields = await self._with.probes.measure(generation, tally)
            whole[generation] = tally + measured
            if fields:
                appeared = "the field {} appeared in products"
                self._machine.record_names("fields", fields, at=now, words=appeared)
        return whole

    async def _observe(self, epoch: int) -> None:
        """Let the alerts step; ask for jobs, if that is wanted."""
        states = await self._with.alerts.states()
        firing = {key for key, state in states.items() if key.startswith(f"{DRIFT}:") and state.firing}
        groups = self._machine.groups
        observed = [observation for group in groups.values() for observation in observations(group, firing)]
        await self._with.alerts.observe(observed, policy=self._settings.alerts, epoch=epoch)
        if self._settings.retrain:
            await self._request_training(epoch)
        for scope, group in groups.items():
            armed_now.labels(scope).set(group.armed)
            alarmed_now.labels(scope).set(len(group.alarms))

    async def _request_training(self, epoch: int) -> None:
        """Ask for a job, once an alarm; a kill before it is noted asks again with the same id."""
        wanted = [
            job(group, alarm)
            for group in self._machine.groups.values()
            for alarm in group.alarms.values()
            if advice(alarm) == "retrain"
        ]
        history = self._machine.history
        new = [training for training in wanted if training.job_id not in history.requested]
        if not new:
            return
        await self._with.publisher.publish([outgoing(training) for training in new])
        history.requested += [training.job_id for training in new]
        await self._with.store.store(self._machine.dump(), epoch=epoch)
        log.info("drift.training_requested", jobs=[training.job_id for training in new])


def _log_onsets(onsets: Sequence[AlarmOnset]) -> None:
    for onset in onsets:
        verdict = onset.alarm.verdict
        log.warning(
            "drift.alarmed",
            signal=onset.alarm.signal,
            cause=verdict.cause,
            shape=verdict.shape,
            since=verdict.since.isoformat(),
        )


def _rows(scope: str, group: DetectorGroup) -> list[dict[str, object]]:
    return [
        {
            "scope": scope,
            "signal": name,
            "learned": round(detector.learned, 3),
            "alarmed": detector.alarmed,
            "cause": group.alarms[name].verdict.cause if name in group.alarms else None,
            "psi": None if stability is None else round(stability.psi, 4),
            "psi_by_chance": None if stability is None else round(stability.by_chance, 4),
        }
        for name, detector in group.detectors.items()
        for stability in (group.stability(name),)
    ]
