"""One signal's detector: against its seasonal baseline, ranked, added up; its memory is a few arrays."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from math import inf, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.monitor.drift.domain.cusum import Cusum, threshold_for
from services.monitor.drift.domain.ranks import CAP, Ranks, tie_break
from services.monitor.drift.domain.rules import DetectorRule
from services.monitor.drift.domain.sample import SignalSample
from services.monitor.drift.domain.season import (
    FORGET,
    HOURS,
    SeasonalBaseline,
    VarianceModel,
    slot_of,
)
from services.monitor.drift.domain.shape import LONGEST

Direction = Literal["up", "down", "both"]
SIGNIFICANT = 2.0
"""An autocorrelation is taken out when it is this many standard errors from nothing."""
STRONGEST = 0.9
EXPECTED_HITS = (0.0, 0.3, 1.0, 3.0)
"""Windows of a rate with at least so many expected hits are ranked among each other (Mondrian ranks).

Expected at the mean rate of all hours: by the hour's own, which is estimated, a window would be ranked
among those whose baseline is wrong in the same way.
"""
SIZES = (0.0, 0.4, 0.8, 1.4)
"""Of other signals: windows with at least so many times the mean count. The variance of small ones is known
less well, and they come one after the other at night, where that would add up to alarms."""
CLIP = 3.0
"""Standard deviations that one window can move the baseline by, at most."""
SHORT_ALARM = 48
"""Windows that a false alarm may last; what is learned meanwhile is put off, not lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowDeviation:
    """How far one window was from its baseline, in standard deviations."""

    slot: int
    sample: SignalSample
    rank_class: int
    """With which windows it was ranked."""
    surprise: float
    residual: float
    """The surprise without what the window before already said."""
    rank: float
    before: float | None
    """The surprise of the window before."""
    baseline: NDArray[np.float32]
    sampling: float
    """Variance of the difference by sampling alone: the window's, and that of the baseline."""
    spread: float
    """1 + the squared weights of the windows that the baseline is the mean of."""
    expected: float
    """The expected squared difference."""


class Detector:
    """Feed it windows in order; `alarmed` is its word.

    While an alarm goes on nothing is learned, so that a bug does not become the baseline; when it is over
    soon, what it kept waiting is learned after all, or the reference would lack the extremes of chance.
    """

    def __init__(self, name: str, rule: DetectorRule, *, direction: Direction, dimensions: int = 1) -> None:
        self.name = name
        self.direction = direction
        self._rule = rule
        self._baseline = SeasonalBaseline(HOURS[rule.season], dimensions, rule.memory)
        self._variance_model = VarianceModel()
        self._ranks = [Ranks(rule.remember) for _ in EXPECTED_HITS]
        self.up, self.down = Cusum(), Cusum()
        self.surprises = deque[float](maxlen=LONGEST)
        """The last surprises, newest last."""
        self._lag_sums: tuple[float, ...] = (0.0,) * 4
        """Number of surprises, and sums of them, of their squares, of each times the one before."""
        self._mean_count = 0.0
        """The mean count of a window."""
        self._waiting: list[WindowDeviation] = []

    @property
    def alarmed(self) -> bool:
        """Whether it has alarmed and that is not over."""
        return self.up.alarmed or self.down.alarmed

    @property
    def charts(self) -> int:
        """How many CUSUM charts it keeps."""
        return 2 if self.direction == "both" else 1

    @property
    def learned(self) -> float:
        """How far it has learned, 0 to 1; from 1 on it may alarm."""
        return min(1.0, sum(map(len, self._ranks)) / self._rule.learn)

    @property
    def armed(self) -> bool:
        """Whether it has learned enough to alarm."""
        return self.learned >= 1

    @property
    def share(self) -> float:
        """The share of windows that it can judge."""
        return self._baseline.share

    def step(
        self, number: int, start: datetime, sample: SignalSample, *, run_length: float
    ) -> WindowDeviation | None:
        """Judge window `number`; `run_length` is the mean number of windows between its false alarms.

        Returns None while there is no baseline for the season.
        """
        slot = slot_of(start, self._rule.season)
        if not self._baseline.visits[slot]:
            self._baseline.learn(slot, sample)
            return None
        deviation = self._deviation(number, slot, sample)
        if self.armed:
            # Two charts alarm twice as often as one: each is given twice the run length.
            threshold = threshold_for(run_length * self.charts)
            if self.direction != "down":
                self.up = self.up.step(deviation.rank, threshold)
            if self.direction != "up":
                self.down = self.down.step(-deviation.rank, threshold)
        # Only now: what is learned from a window depends on whether it alarmed, and the baseline that it
        # is judged by must not contain it.
        self._take_in(deviation)
        self.surprises.append(deviation.surprise)
        return deviation

    def _deviation(self, number: int, slot: int, sample: SignalSample) -> WindowDeviation:
        """Compare a window with its slot's baseline, and rank the surprise among those before it."""
        baseline = self._baseline.mean[slot].copy()
        difference = sample.mean - baseline
        variance, spread = float(self._baseline.variance[slot]), float(self._baseline.spread[slot])
        # A broken encoder may answer all alike: its windows must not count as the most exact ones.
        sampling = max(sample.variance, variance / spread / 2) + variance
        spread += 1
        expected = self._variance_model.expected(sampling, spread)
        # Of a vector the length is all there is; a number also has a side, and "down" is a side to alarm on.
        surprise = sqrt(float(difference @ difference) / expected)
        if len(baseline) == 1 and difference[0] < 0:
            surprise = -surprise
        residual, rank_class = self._residual(surprise), self._rank_class(sample)
        return WindowDeviation(
            slot=slot,
            sample=sample,
            rank_class=rank_class,
            surprise=surprise,
            residual=residual,
            # The tie-break depends on the window's number: a replay after a kill ranks it the same way.
            rank=self._ranks[rank_class].normal_score(
                residual, tie_break=tie_break(self._rule.seed, self.name, number)
            ),
            before=self.surprises[-1] if self.surprises else None,
            baseline=baseline,
            sampling=sampling,
            spread=spread,
            expected=expected,
        )

    def _rank_class(self, sample: SignalSample) -> int:
        """Return the number of the class that a window is ranked in.

        Ranks are uniform among exchangeable windows only, and a window of ten queries is none of a
        window of a thousand: conformal prediction's Mondrian taxonomies (Vovk et al. 2005, chapter 4).
        """
        if sample.rate:
            hits = sample.expected_hits(self._baseline.level)
            return sum(hits >= least for least in EXPECTED_HITS) - 1
        mean_count = self._mean_count or sample.count
        return sum(sample.count >= least * mean_count for least in SIZES) - 1

    def _take_in(self, deviation: WindowDeviation) -> None:
        """Learn from a window, now or when an alarm is over; what waits too long is not learned."""
        if self.alarmed:
            # One more than a short alarm has is enough to tell that this one was not short.
            self._waiting = [*self._waiting, deviation][: SHORT_ALARM + 1]
            return
        waiting, self._waiting = self._waiting, []
        # A short alarm was chance, and its windows are the extremes that chance has. Left out, the ranks
        # would lack their tail, and the next extreme would alarm sooner than stated.
        for late in waiting if len(waiting) <= SHORT_ALARM else ():
            self._learn(late)
        self._learn(deviation)

    def _learn(self, deviation: WindowDeviation) -> None:
        square = deviation.surprise**2 * deviation.expected
        # Before it is armed nothing is known of what is far: the first windows are learned as they are.
        clip = CLIP * sqrt(deviation.expected) if self.armed else inf
        self._variance_model.add(min(square, clip**2), deviation.sampling, deviation.spread)
        # What is at the cap is an outlier even to the tail: learned, it would hide the next one like it.
        if abs(deviation.rank) < CAP or not self.armed:
            self._ranks[deviation.rank_class].add(deviation.residual)
            self._learn_autocorrelation(deviation)
        self._baseline.learn(deviation.slot, deviation.sample, clip=clip)
        weight = 1 - FORGET if self._mean_count else 1
        self._mean_count += (deviation.sample.count - self._mean_count) * weight

    def _residual(self, surprise: float) -> float:
        """Take out what the window before already said: the residual of an AR(1) model.

        Cochrane and Orcutt (1949). A CUSUM of dependent steps alarms far more often than computed
        (Johnson and Bagshaw 1974, Technometrics 16:103), so dependence goes before ranks are taken.
        """
        count = self._lag_sums[0]
        if not self.surprises or count < self._rule.learn / 2:
            return surprise
        centre, variance = self._moments()
        autocorrelation = (self._lag_sums[3] / count - centre**2) / variance if variance > 1e-9 else 0.0
        # An estimate of nothing is not nothing: taking it out would add noise. Its standard error is
        # 1 / sqrt(count) (Bartlett 1946).
        if abs(autocorrelation) * sqrt(count) < SIGNIFICANT:
            return surprise
        coefficient = min(max(autocorrelation, -STRONGEST), STRONGEST)
        return surprise - coefficient * (self.surprises[-1] - centre)

    def _moments(self) -> tuple[float, float]:
        """Return mean and variance of the surprises."""
        count, total, squares, _ = self._lag_sums
        return total / count, squares / count - (total / count) ** 2

    def _learn_autocorrelation(self, deviation: WindowDeviation) -> None:
        """Learn how surprises follow each other; those far out count as if they were at `CLIP`."""
        if deviation.before is None:
            return
        now, before = deviation.surprise, deviation.before
        if self.armed:
            centre, variance = self._moments()
            clip = CLIP * sqrt(max(variance, 0.0))
            now, before = (min(max(surprise, centre - clip), centre + clip) for surprise in (now, before))
        new = (1.0, now, now**2, now * before)
        self._lag_sums = tuple(FORGET * old + more for old, more in zip(self._lag_sums, new, strict=True))

    def dump(self) -> bytes:
        """Return all of its memory (an npz of arrays); windows that wait for an alarm's end are left out.

        The names of the arrays are those of the stored layout: a memory in Redis has them.
        """
        buffer = BytesIO()
        baseline = self._baseline
        np.savez(
            buffer,
            mean=baseline.mean,
            slots=np.stack([baseline.visits, baseline.variance, baseline.spread]),
            scatter=np.array(self._variance_model.sums),
            charts=np.array([self.up.level, self.up.alarmed, self.down.level, self.down.alarmed]),
            course=np.array(self.surprises),
            echo=np.array(self._lag_sums),
            size=np.array(self._mean_count),
            past=np.concatenate([np.array(ranks.past) for ranks in self._ranks]),
            sizes=np.array([len(ranks) for ranks in self._ranks]),
        )
        return buffer.getvalue()

    def load(self, memory: bytes) -> None:
        """Take a memory over; raises `ValueError` when it is of another rule."""
        with np.load(BytesIO(memory), allow_pickle=False) as stored:
            if stored["mean"].shape != self._baseline.mean.shape:
                raise ValueError(f"{self.name}: its memory is of another season or dimension")
            self._baseline.mean = stored["mean"]
            self._baseline.visits, self._baseline.variance, self._baseline.spread = stored["slots"].copy()
            self._variance_model = VarianceModel(stored["scatter"])
            pasts = np.split(stored["past"], np.cumsum(stored["sizes"])[:-1])
            self._ranks = [Ranks(self._rule.remember, past.tolist()) for past in pasts]
            up, up_alarmed, down, down_alarmed = stored["charts"].tolist()
            self.up, self.down = Cusum(up, bool(up_alarmed)), Cusum(down, bool(down_alarmed))
            self.surprises = deque(stored["course"].tolist(), maxlen=LONGEST)
            self._lag_sums = tuple(stored["echo"].tolist())
            self._mean_count = float(stored["size"])
