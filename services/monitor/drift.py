"""The leader's look at drift: windows that are over are judged, kept, said, and a job is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from prometheus_client import Gauge

from schemas.judgements import Outcome
from schemas.search import SearchQuery
from services.monitor.canary_run import Instruments
from services.monitor.domain.drift.findings import DRIFT, advice, job, observations
from services.monitor.domain.drift.panel import News, Panel
from services.monitor.domain.drift.tally import Tally
from services.monitor.domain.drift.watch import Watch
from services.monitor.drift_probes import Probes
from services.monitor.drift_reading import TallyKeeper
from services.monitor.drift_store import DriftStore
from services.monitor.settings import Settings
from shared.ports import Publisher, outgoing
from shared.records import Partition
from shared.registry import Readers

TOPICS = (SearchQuery.topic, Outcome.topic)
READING = "monitor-drift"
BEHIND = 1000
"""Messages that a reader may be behind when a window is judged."""
log = structlog.get_logger()
speaking_now = Gauge("headrace_drift_speaking", "Signals that have learned enough to alarm", ("scope",))
alarmed_now = Gauge("headrace_drift_alarmed", "Signals that are alarmed", ("scope",))


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the watch has it all from."""

    keeper: TallyKeeper
    readers: Readers
    store: DriftStore
    probes: Probes


class DriftWatch:
    """Judges windows in order.

    Order of a window: (1) it is judged; (2) the memory with its number is stored, whole and fenced; (3) its
    tallies are removed; (4) alerts are observed from the memory, again at every look. A kill after 1 judges
    it again, after 2 it is known to be judged; nothing is said that is not stored.
    """

    def __init__(
        self, settings: Settings, sources: Sources, instruments: Instruments, *, publisher: Publisher
    ) -> None:
        self._settings = settings.monitor.drift
        self._rule = self._settings.rule
        self._partitions = [
            Partition(topic, number) for topic in TOPICS for number in range(settings.partitions)
        ]
        self._from = sources
        self._alerts = instruments.alerts
        self._generations = instruments.generations
        self._publisher = publisher
        self._clock = instruments.clock
        self._began = self._clock.now()
        self._led: int | None = None
        self._watch = Watch(self._rule, self._settings.frame)

    async def look(self, epoch: int) -> None:
        """Judge the windows that are over; then say what is open."""
        if self._led != epoch:
            await self._load(epoch)
        now = self._clock.now()
        over = self._rule.number(now - self._settings.grace) - 1
        settled = now - self._began >= self._settings.grace and over > self._watch.seen.closed
        if settled and await self._caught_up():
            await self._judge(over, epoch)
        await self._say(epoch)

    def standing(self) -> Mapping[str, object]:
        """Return how far each signal has learned and whether it is alarmed, for `GET /drift`."""
        panels = self._watch.panels
        return {
            "false_alarm_every": self._settings.false_alarm_every.total_seconds(),
            "judged_until": self._rule.at(self._watch.seen.closed + 1).start.isoformat(),
            "signals": [row for scope, panel in sorted(panels.items()) for row in _standing(scope, panel)],
        }

    async def _caught_up(self) -> bool:
        """Return whether the readers of every partition are near its end: what is behind is not yet over."""
        records = await self._from.readers.records()
        near = {
            Partition(each.topic, each.partition)
            for each in records
            if each.next_offset is not None and each.end_offset - each.next_offset <= BEHIND
        }
        return near.issuperset(self._partitions)

    async def _load(self, epoch: int) -> None:
        watch = Watch(self._rule, self._settings.frame)
        unfit = watch.load(await self._from.store.load())
        if unfit:
            log.warning("drift.learned_anew", signals=unfit, reason="the settings have changed")
        self._watch, self._led = watch, epoch

    async def _judge(self, over: int, epoch: int) -> None:
        windows = await self._from.keeper.windows(self._partitions)
        due = sorted(number for number in windows if number <= over)
        live = await self._generations.live()
        self._watch.keep(live)
        await self._notice(live)
        for number in due:
            tallies = windows[number]
            if number == over:
                tallies = await self._probed(live, tallies)
            self._tell(self._watch.close(number, tallies))
        self._watch.seen.closed = max(over, self._watch.seen.closed)
        await self._from.store.store(self._watch.dump(), epoch=epoch)
        await self._from.keeper.drop(self._partitions, upto=over)

    async def _notice(self, live: list[str]) -> None:
        now = self._clock.now()
        for generation in live:
            running = await self._from.probes.processes(generation)
            self._watch.noticed(f"processes {generation}", running, at=now, words="{} was started")

    async def _probed(self, live: list[str], tallies: Mapping[str, Tally]) -> dict[str, Tally]:
        """Return the tallies with what the monitor looked at itself."""
        whole, now = dict(tallies), self._clock.now()
        for generation in live:
            tally = whole.get(generation, Tally())
            more, fields = await self._from.probes.look(generation, tally)
            whole[generation] = tally + more
            if fields:
                self._watch.noticed("fields", fields, at=now, words="the field {} appeared in products")
        return whole

    def _tell(self, news: list[News]) -> None:
        for each in news:
            said = each.alarm.verdict
            log.warning(
                "drift.alarmed",
                signal=each.alarm.signal,
                cause=said.cause,
                shape=said.shape,
                since=said.since.isoformat(),
            )

    async def _say(self, epoch: int) -> None:
        lives = await self._alerts.lives()
        known = {key: life for key, life in lives.items() if key.startswith(f"{DRIFT}:") and life.firing}
        seen = [each for panel in self._watch.panels.values() for each in observations(panel, known)]
        await self._alerts.observe(seen, policy=self._settings.alerts, epoch=epoch)
        if self._settings.retrain:
            await self._request(epoch)
        for scope, panel in self._watch.panels.items():
            speaking_now.labels(scope).set(panel.speaking)
            alarmed_now.labels(scope).set(len(panel.alarms))

    async def _request(self, epoch: int) -> None:
        """Ask for a job, once an alarm; a kill before it is noted asks again with the same id."""
        wanted = [
            job(panel, alarm)
            for panel in self._watch.panels.values()
            for alarm in panel.alarms.values()
            if advice(alarm) == "retrain"
        ]
        fresh = [each for each in wanted if each.job_id not in self._watch.seen.requested]
        if not fresh:
            return
        await self._publisher.publish([outgoing(each) for each in fresh])
        self._watch.seen.requested += [each.job_id for each in fresh]
        await self._from.store.store(self._watch.dump(), epoch=epoch)
        log.info("drift.training_requested", jobs=[each.job_id for each in fresh])


def _standing(scope: str, panel: Panel) -> list[dict[str, object]]:
    return [
        {
            "scope": scope,
            "signal": name,
            "learned": round(detector.learned, 3),
            "alarmed": detector.alarmed,
            "cause": panel.alarms[name].verdict.cause if name in panel.alarms else None,
            "psi": None if stable is None else round(stable.psi, 4),
            "psi_by_chance": None if stable is None else round(stable.by_chance, 4),
        }
        for name, detector in panel.detectors.items()
        for stable in (panel.stability(name),)
    ]
