"""Many detectors under one budget of false alarms; what an alarm looks like when it begins."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sin

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter

from services.monitor.domain.drift.cause import Change, Verdict, verdict
from services.monitor.domain.drift.detector import Detector, Frame, Judged
from services.monitor.domain.drift.population import Population, Stability
from services.monitor.domain.drift.reading import Reading
from services.monitor.domain.drift.signals import Signal

ALARMS, POPULATIONS = "alarms", "populations"
AGAIN = 6
"""Windows after which the cause of an open alarm is judged again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One span of event time, by its number since 1970."""

    number: int
    start: datetime
    span: timedelta

    @property
    def day(self) -> int:
        """Return the number of its day."""
        return self.start.toordinal()


class Alarm(BaseModel):
    """An alarm from its first window on; what it says stays as it was when it began."""

    model_config = ConfigDict(frozen=True)

    signal: str
    window: int
    began: datetime
    verdict: Verdict
    direction: str
    surprise: float
    shown: float
    usual: float
    stability: Stability | None = None
    evidence: Mapping[str, tuple[str, ...]] = {}


_ALARMS = TypeAdapter(dict[str, Alarm])
_POPULATIONS = TypeAdapter(dict[str, Population])


@dataclass(frozen=True, slots=True)
class News:
    """An alarm that has just begun, with what evidence is drawn from."""

    alarm: Alarm
    away: NDArray[np.float32]
    """How the window's mean differs from the usual one."""


class Panel:
    """The detectors of one scope: of the shop, or of one model in one generation."""

    def __init__(self, name: str, signals: Mapping[str, Signal], frame: Frame, *, adopt: int) -> None:
        self.name = name
        self._signals = signals
        self._frame = frame
        self._adopt = adopt
        self.detectors = {signal: self._new(signal) for signal in signals}
        self.alarms: dict[str, Alarm] = {}
        self.populations: dict[str, Population] = {}

    @property
    def speaking(self) -> int:
        """How many signals may alarm: the budget is divided among them."""
        return sum(detector.speaking for detector in self.detectors.values())

    def step(
        self,
        window: Window,
        found: Mapping[str, Reading],
        *,
        run_length: float,
        changes: Sequence[Change] = (),
    ) -> list[News]:
        """Feed one window to every signal that it says something about; return the alarms that begin.

        `run_length` is the mean number of windows between two false alarms of one signal. An alarm that
        lasts `adopt` windows is the new normal: its detector learns anew.
        """
        news = []
        for name, reading in found.items():
            detector = self.detectors[name]
            before = detector.alarmed
            if reading.values:
                known = self.populations.get(name, Population())
                self.populations[name] = known.seen(window.day, reading.values, usual=not before)
            judged = detector.step(
                window.number, window.start, reading, run_length=max(2.0, run_length * detector.share)
            )
            if not detector.alarmed:
                self.alarms.pop(name, None)
            elif judged is not None and not before:
                self.alarms[name] = self._alarm(window, detector, judged, changes=changes)
                news.append(News(self.alarms[name], reading.mean - judged.usual))
            else:
                self._go_on(window, name, changes)
        return news

    def _go_on(self, window: Window, name: str, changes: Sequence[Change]) -> None:
        """Look at an open alarm again: a slope shows with time; and what lasts is the new normal."""
        alarm = self.alarms.get(name)
        if alarm is None or window.number - alarm.window >= self._adopt:
            self.alarms.pop(name, None)
            self.populations.pop(name, None)
            self.detectors[name] = self._new(name)
        elif (window.number - alarm.window) % AGAIN == 0:
            now = verdict(self._course(name), window.start, span=window.span, changes=changes)
            if alarm.verdict.cause == "unknown" or now.shape != alarm.verdict.shape:
                self.alarms[name] = alarm.model_copy(update={"verdict": now})

    def tell(self, signal: str, evidence: Mapping[str, tuple[str, ...]]) -> None:
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
        known = self.populations.get(signal)
        return None if known is None else known.stability()

    def load(self, memories: Mapping[str, bytes]) -> list[str]:
        """Take memories over; return the signals whose memory does not fit and that begin anew."""
        self.alarms = _ALARMS.validate_json(memories.get(ALARMS, b"{}"))
        self.populations = _POPULATIONS.validate_json(memories.get(POPULATIONS, b"{}"))
        unfit = [name for name in self._signals if name in memories and not self._load(name, memories[name])]
        self.alarms = {
            name: alarm
            for name, alarm in self.alarms.items()
            if name in self.detectors and self.detectors[name].alarmed
        }
        return unfit

    def _load(self, name: str, memory: bytes) -> bool:
        try:
            self.detectors[name].load(memory)
        except (ValueError, KeyError, OSError):
            self.detectors[name] = self._new(name)
            return False
        return True

    def _new(self, name: str) -> Detector:
        signal = self._signals[name]
        return Detector(
            f"{self.name}:{name}", self._frame, direction=signal.direction, dimensions=signal.dimensions
        )

    def _alarm(
        self, window: Window, detector: Detector, judged: Judged, *, changes: Sequence[Change]
    ) -> Alarm:
        up = detector.up.alarmed
        name = detector.name.split(":")[-1]
        said = verdict(self._course(name), window.start, span=window.span, changes=changes)
        return Alarm(
            signal=name,
            window=window.number,
            began=window.start + window.span,
            verdict=said,
            direction="up" if up else "down",
            surprise=judged.surprise,
            shown=judged.reading.shown,
            usual=_shown(judged),
            stability=self.stability(name),
        )

    def _course(self, name: str) -> NDArray[np.float64]:
        """Return the surprises of a signal, so that up is what it alarmed for."""
        detector = self.detectors[name]
        return np.array(detector.course) * (1 if detector.up.alarmed else -1)


def speaking(panels: Collection[Panel]) -> int:
    """Return how many signals share the budget."""
    return max(1, sum(panel.speaking for panel in panels))


def _shown(judged: Judged) -> float:
    if judged.reading.rate:
        return sin(float(judged.usual[0]) / 2) ** 2
    return float(judged.usual[0]) if len(judged.usual) == 1 else 1 - float(judged.usual @ judged.usual)
