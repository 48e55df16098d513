"""One signal's detector: against its season, ranked, added up; all it remembers is a few arrays."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from math import inf, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.drift.chart import Chart, threshold_for
from services.monitor.domain.drift.ranks import CAP, Ranks, coin
from services.monitor.domain.drift.reading import Reading
from services.monitor.domain.drift.season import FORGET, HOURS, Scatter, Season, Usual, slot_of
from services.monitor.domain.drift.shape import LONGEST

Direction = Literal["up", "down", "both"]
FELT = 2.0
"""An autocorrelation is taken out when it is this many standard errors from nothing."""
STRONGEST = 0.9
HITS = (0.0, 0.3, 1.0, 3.0)
"""Windows of a rate with at least so many expected hits are ranked among each other (Mondrian ranks).

Expected at the mean rate of all hours: by the hour's own, which is estimated, a window would be ranked
among those whose usual value is wrong in the same way.
"""
SIZES = (0.0, 0.4, 0.8, 1.4)
"""Of other signals: windows with at least so many times the mean count. What small ones scatter by is known
less well, and they come one after the other at night, where that would add up to alarms."""
REACH = 3.0
"""Standard deviations that one window can move what is usual by, at most."""
BLIP = 48
"""Windows that a false alarm may last; what is learned meanwhile is put off, not lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What every detector of a monitor has in common."""

    season: Season = "week"
    memory: int = 8
    """Visits of a slot that its usual value is the mean of."""
    learn: int = 336
    """Surprises before a detector may alarm."""
    remember: int = 2016
    """Surprises that a new one is ranked among."""
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one window meant, in standard deviations."""

    slot: int
    reading: Reading
    kind: int
    """With which windows it was ranked."""
    surprise: float
    fresh: float
    """The surprise without what the window before already said."""
    rank: float
    before: float | None
    """The surprise of the window before."""
    usual: NDArray[np.float32]
    sampling: float
    spread: float
    expected: float


class Detector:
    """Feed it windows in order; `alarmed` is its word.

    While an alarm goes on nothing is learned, so that a bug does not become what is usual; when it is over
    soon, what it kept waiting is learned after all, or the reference would lack the extremes of chance.
    """

    def __init__(self, name: str, frame: Frame, *, direction: Direction, dimensions: int = 1) -> None:
        self.name = name
        self.direction = direction
        self._frame = frame
        self._usual = Usual(HOURS[frame.season], dimensions, frame.memory)
        self._scatter = Scatter()
        self._ranks = [Ranks(frame.remember) for _ in HITS]
        self.up, self.down = Chart(), Chart()
        self.course = deque[float](maxlen=LONGEST)
        """The last surprises, newest last."""
        self._echo: tuple[float, ...] = (0.0,) * 4
        """Number of surprises, and sums of them, of their squares, of each times the one before."""
        self._size = 0.0
        """The mean count of a window."""
        self._waiting: list[Judged] = []

    @property
    def alarmed(self) -> bool:
        """Whether it has alarmed and that is not over."""
        return self.up.alarmed or self.down.alarmed

    @property
    def sides(self) -> int:
        """How many charts it keeps."""
        return 2 if self.direction == "both" else 1

    @property
    def learned(self) -> float:
        """How far it has learned, 0 to 1; from 1 on it may alarm."""
        return min(1.0, sum(map(len, self._ranks)) / self._frame.learn)

    @property
    def speaking(self) -> bool:
        """Whether it has learned enough to alarm."""
        return self.learned >= 1

    @property
    def share(self) -> float:
        """The share of windows that it can judge."""
        return self._usual.share

    def step(self, number: int, start: datetime, reading: Reading, *, run_length: float) -> Judged | None:
        """Judge window `number`; `run_length` is the mean number of windows between its false alarms.

        Returns None while there is no usual value for the season.
        """
        slot = slot_of(start, self._frame.season)
        if not self._usual.visits[slot]:
            self._usual.learn(slot, reading)
            return None
        judged = self._judge(number, slot, reading)
        if self.speaking:
            threshold = threshold_for(run_length * self.sides)
            if self.direction != "down":
                self.up = self.up.step(judged.rank, threshold)
            if self.direction != "up":
                self.down = self.down.step(-judged.rank, threshold)
        self._take_in(judged)
        self.course.append(judged.surprise)
        return judged

    def _judge(self, number: int, slot: int, reading: Reading) -> Judged:
        usual = self._usual.mean[slot].copy()
        difference = reading.mean - usual
        variance, spread = float(self._usual.variance[slot]), float(self._usual.spread[slot])
        # A broken encoder may answer all alike: its windows must not count as the most exact ones.
        sampling = max(reading.variance, variance / spread / 2) + variance
        spread += 1
        expected = self._scatter.expected(sampling, spread)
        surprise = sqrt(float(difference @ difference) / expected)
        if len(usual) == 1 and difference[0] < 0:
            surprise = -surprise
        fresh, kind = self._fresh(surprise), self._kind(reading)
        return Judged(
            slot=slot,
            reading=reading,
            kind=kind,
            surprise=surprise,
            fresh=fresh,
            rank=self._ranks[kind].surprise(fresh, coin=coin(self._frame.seed, self.name, number)),
            before=self.course[-1] if self.course else None,
            usual=usual,
            sampling=sampling,
            spread=spread,
            expected=expected,
        )

    def _kind(self, reading: Reading) -> int:
        """Return the number of the class that a window is ranked in."""
        if reading.rate:
            return sum(reading.expected_hits(self._usual.level) >= least for least in HITS) - 1
        return sum(reading.count >= least * (self._size or reading.count) for least in SIZES) - 1

    def _take_in(self, judged: Judged) -> None:
        """Learn from a window, now or when an alarm is over; what waits too long is not learned."""
        if self.alarmed:
            self._waiting = [*self._waiting, judged][: BLIP + 1]
            return
        waiting, self._waiting = self._waiting, []
        for each in [*(waiting if len(waiting) <= BLIP else ()), judged]:
            self._learn(each)

    def _learn(self, judged: Judged) -> None:
        square = judged.surprise**2 * judged.expected
        reach = REACH * sqrt(judged.expected) if self.speaking else inf
        self._scatter.add(min(square, reach**2), judged.sampling, judged.spread)
        if abs(judged.rank) < CAP or not self.speaking:
            self._ranks[judged.kind].add(judged.fresh)
            self._learn_echo(judged)
        self._usual.learn(judged.slot, judged.reading, reach=reach)
        self._size += (judged.reading.count - self._size) * (1 - FORGET if self._size else 1)

    def _fresh(self, surprise: float) -> float:
        """Take out what the window before already said (Cochrane and Orcutt 1949)."""
        count = self._echo[0]
        if not self.course or count < self._frame.learn / 2:
            return surprise
        centre, variance = self._level()
        echo = (self._echo[3] / count - centre**2) / variance if variance > 1e-9 else 0.0
        if abs(echo) * sqrt(count) < FELT:
            return surprise
        return surprise - min(max(echo, -STRONGEST), STRONGEST) * (self.course[-1] - centre)

    def _level(self) -> tuple[float, float]:
        """Return mean and variance of the surprises."""
        count, total, squares, _ = self._echo
        return total / count, squares / count - (total / count) ** 2

    def _learn_echo(self, judged: Judged) -> None:
        """Learn how surprises follow each other; those far out count as if they were at `REACH`."""
        if judged.before is None:
            return
        now, before = judged.surprise, judged.before
        if self.speaking:
            centre, variance = self._level()
            reach = REACH * sqrt(max(variance, 0.0))
            now, before = (min(max(each, centre - reach), centre + reach) for each in (now, before))
        new = (1.0, now, now**2, now * before)
        self._echo = tuple(FORGET * old + more for old, more in zip(self._echo, new, strict=True))

    def dump(self) -> bytes:
        """Return all of its memory (an npz of arrays); windows that wait for an alarm's end are left out."""
        buffer = BytesIO()
        usual = self._usual
        np.savez(
            buffer,
            mean=usual.mean,
            slots=np.stack([usual.visits, usual.variance, usual.spread]),
            scatter=np.array(self._scatter.sums),
            charts=np.array([self.up.level, self.up.alarmed, self.down.level, self.down.alarmed]),
            course=np.array(self.course),
            echo=np.array(self._echo),
            size=np.array(self._size),
            past=np.concatenate([np.array(ranks.past) for ranks in self._ranks]),
            sizes=np.array([len(ranks) for ranks in self._ranks]),
        )
        return buffer.getvalue()

    def load(self, memory: bytes) -> None:
        """Take a memory over; raises `ValueError` when it is of another frame."""
        with np.load(BytesIO(memory), allow_pickle=False) as stored:
            if stored["mean"].shape != self._usual.mean.shape:
                raise ValueError(f"{self.name}: its memory is of another season or dimension")
            self._usual.mean = stored["mean"]
            self._usual.visits, self._usual.variance, self._usual.spread = stored["slots"].copy()
            self._scatter = Scatter(stored["scatter"])
            parts = np.split(stored["past"], np.cumsum(stored["sizes"])[:-1])
            self._ranks = [Ranks(self._frame.remember, part.tolist()) for part in parts]
            up, up_alarmed, down, down_alarmed = stored["charts"].tolist()
            self.up, self.down = Chart(up, bool(up_alarmed)), Chart(down, bool(down_alarmed))
            self.course = deque(stored["course"].tolist(), maxlen=LONGEST)
            self._echo = tuple(stored["echo"].tolist())
            self._size = float(stored["size"])
