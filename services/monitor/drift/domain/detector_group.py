"""Many detectors under one budget of false alarms; what an alarm looks like when it begins."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sin
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter

from services.monitor.drift.domain.cause import AlarmVerdict, InstallationChange, verdict
from services.monitor.drift.domain.detector import Detector, WindowDeviation
from services.monitor.drift.domain.population import Population, Stability
from services.monitor.drift.domain.rules import DetectorRule, TimeWindow
from services.monitor.drift.domain.sample import SignalSample
from services.monitor.drift.domain.signals import Signal

ALARMS, POPULATIONS = "alarms", "populations"
"""Names in the stored layout, beside those of the signals."""
UNREADABLE = (ValueError, KeyError, OSError, EOFError, BadZipFile)
"""What NumPy raises for a memory of another rule, of another layout, or cut short."""
JUDGED_AGAIN = 6
"""Windows after which the cause of an open alarm is judged again."""


class Alarm(BaseModel):
    """An alarm from its first window on; what it says stays as it was when it began.

    It is stored as JSON: a field that is renamed makes an open alarm unreadable.
    """

    model_config = ConfigDict(frozen=True)

    signal: str
    window: int
    began: datetime
    verdict: AlarmVerdict
    direction: str
    surprise: float
    shown: float
    usual: float
    stability: Stability | None = None
    evidence: Mapping[str, tuple[str, ...]] = {}


_ALARMS = TypeAdapter(dict[str, Alarm])
_POPULATIONS = TypeAdapter(dict[str, Population])


@dataclass(frozen=True, slots=True)
class AlarmOnset:
    """An alarm that has just begun, with what evidence is drawn from."""

    alarm: Alarm
    shift: NDArray[np.float32]
    """How the window's mean differs from the baseline."""


class DetectorGroup:
    """The detectors of one scope: of the shop, or of one model in one generation."""

    def __init__(self, name: str, signals: Mapping[str, Signal], rule: DetectorRule, *, adopt: int) -> None:
        self.name = name
        self._signals = signals
        self._rule = rule
        self._adopt = adopt
        self.detectors = {signal: self._new(signal) for signal in signals}
        self.alarms: dict[str, Alarm] = {}
        self.populations: dict[str, Population] = {}

    @property
    def armed(self) -> int:
        """How many signals may alarm: the budget is divided among them."""
        return sum(detector.armed for detector in self.detectors.values())

    def step(
        self,
        window: TimeWindow,
        samples: Mapping[str, SignalSample],
        *,
        run_length: float,
        changes: Sequence[InstallationChange] = (),
    ) -> list[AlarmOnset]:
        """Feed one window to every signal that it has a sample of; return the alarms that begin.

        `run_length` is the mean number of windows between two false alarms of one signal. An alarm that
        lasts `adopt` windows is the new normal: its detector learns anew.
        """
        onsets = []
        for name, sample in samples.items():
            detector = self.detectors[name]
            alarmed_before = detector.alarmed
            if sample.values:
                population = self.populations.get(name, Population())
                self.populations[name] = population.with_window(
                    window.day, sample.values, usual=not alarmed_before
                )
            # A signal that can judge a tenth of the windows only may alarm ten times as often in them.
            deviation = detector.step(
                window.number, window.start, sample, run_length=max(2.0, run_length * detector.share)
            )
            if not detector.alarmed:
                self.alarms.pop(name, None)
            elif deviation is not None and not alarmed_before:
                self.alarms[name] = self._alarm(window, name, deviation, changes=changes)
                onsets.append(AlarmOnset(self.alarms[name], sample.mean - deviation.baseline))
            else:
                self._judge_again(window, name, changes)
        return onsets

    def _judge_again(self, window: TimeWindow, name: str, changes: Sequence[InstallationChange]) -> None:
        """Look at an open alarm again: a slope shows with time; and what lasts is the new normal."""
        alarm = self.alarms.get(name)
        if alarm is None or window.number - alarm.window >= self._adopt:
            self.alarms.pop(name, None)
            self.populations.pop(name, None)
            self.detectors[name] = self._new(name)
        elif (window.number - alarm.window) % JUDGED_AGAIN == 0:
            now = self._verdict(window, name, changes)
            if alarm.verdict.cause == "unknown" or now.shape != alarm.verdict.shape:
                self.alarms[name] = alarm.model_copy(update={"verdict": now})

    def add_evidence(self, signal: str, evidence: Mapping[str, tuple[str, ...]]) -> None:
        """Add to an alarm what it comes from."""
        self.alarms[signal] = self.alarms[signal].model_copy(update={"evidence": evidence})

    def dump(self) -> dict[str, bytes]:
        """Return everything it remembers, by name."""
        memories = {name: detector.dump() for name, detector in self.detectors.items()}
        return {
            **memories,
            ALARMS: _ALARMS.dump_json(self.alarms),
            POPULATIONS: _POPULATIONS.dump_json(self.populations),
        }

    def stability(self, signal: str) -> Stability | None:
        """Return how far the newest window's values are from the usual ones, of a signal that has values."""
        population = self.populations.get(signal)
        return None if population is None else population.stability()

    def load(self, memories: Mapping[str, bytes]) -> list[str]:
        """Take memories over; return the signals whose memory does not fit and that begin anew."""
        self.alarms = _ALARMS.validate_json(memories.get(ALARMS, b"{}"))
        self.populations = _POPULATIONS.validate_json(memories.get(POPULATIONS, b"{}"))
        unfit = [name for name in self._signals if name in memories and not self._load(name, memories[name])]
        # A detector that begins anew is not alarmed, so nothing would ever end the alarm it had.
        self.alarms = {
            name: alarm
            for name, alarm in self.alarms.items()
            if name in self.detectors and self.detectors[name].alarmed
        }
        return unfit

    def _load(self, name: str, memory: bytes) -> bool:
        try:
            self.detectors[name].load(memory)
        except UNREADABLE:
            # It may have been filled halfway: only a new one is sure to be whole.
            self.detectors[name] = self._new(name)
            return False
        return True

    def _new(self, name: str) -> Detector:
        signal = self._signals[name]
        return Detector(
            f"{self.name}:{name}", self._rule, direction=signal.direction, dimensions=signal.dimensions
        )

    def _alarm(
        self,
        window: TimeWindow,
        name: str,
        deviation: WindowDeviation,
        *,
        changes: Sequence[InstallationChange],
    ) -> Alarm:
        return Alarm(
            signal=name,
            window=window.number,
            began=window.start + window.span,
            verdict=self._verdict(window, name, changes),
            direction="up" if self.detectors[name].up.alarmed else "down",
            surprise=deviation.surprise,
            shown=deviation.sample.shown,
            usual=_usual(deviation),
            stability=self.stability(name),
        )

    def _verdict(self, window: TimeWindow, name: str, changes: Sequence[InstallationChange]) -> AlarmVerdict:
        """Judge a signal by its surprises, turned so that up is what it alarmed for."""
        detector = self.detectors[name]
        surprises = np.array(detector.surprises) * (1 if detector.up.alarmed else -1)
        return verdict(surprises, window.start, span=window.span, changes=changes)


def armed(groups: Collection[DetectorGroup]) -> int:
    """Return how many signals share the budget."""
    return max(1, sum(group.armed for group in groups))


def _usual(deviation: WindowDeviation) -> float:
    """Return the baseline as people read it: on the scale of `SignalSample.shown`."""
    baseline = deviation.baseline
    if deviation.sample.rate:
        return sin(float(baseline[0]) / 2) ** 2
    return float(baseline[0]) if len(baseline) == 1 else 1 - float(baseline @ baseline)
