"""Drift detectors keep the stated time between false alarms whatever the signal, and learn no bugs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from services.monitor.drift.domain.cusum import Cusum, average_run_length, threshold_for
from services.monitor.drift.domain.detector import Detector
from services.monitor.drift.domain.ranks import CAP, Ranks, tie_break
from services.monitor.drift.domain.rules import DetectorRule
from services.monitor.drift.domain.sample import SignalSample, features, quantile, rate
from services.monitor.drift.domain.sketches import sketch

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
RUN_LENGTH = 150.0
WEEKS = 90
VOLUME = 230 + 190 * np.sin(np.arange(168) * 2 * np.pi / 24)
DIMENSIONS = 16
TEXTS = np.random.default_rng(5).standard_normal((60, DIMENSIONS))
TEXTS /= np.linalg.norm(TEXTS, axis=1, keepdims=True)
ZIPF = 1 / np.arange(1, 61)


class Traffic:
    """Stationary windows of one kind; hours differ, weeks do not."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.level = 0.0

    def count(self, hour: int) -> int:
        return int(self.rng.poisson(VOLUME[hour % 168])) + 20

    def clicks(self, hour: int, *, worse: float = 1.0) -> SignalSample:
        """Rates that scatter more than sampling explains."""
        count, usual = self.count(hour), 0.3 + 0.1 * np.sin(hour * 2 * np.pi / 24)
        return rate(
            int(self.rng.binomial(count, worse * self.rng.beta(200 * usual, 200 * (1 - usual)))), count
        )

    def rare(self, hour: int) -> SignalSample:
        """One event in a window, or none."""
        count = self.count(hour)
        return rate(int(self.rng.binomial(count, 0.004)), count)

    def never(self, hour: int) -> SignalSample:
        """Return nothing, always: only the tie-break decides."""
        return rate(0, self.count(hour))

    def scores(self, hour: int) -> SignalSample:
        values = self.rng.gamma(4, 0.1 + 0.02 * np.sin(hour * 2 * np.pi / 24), self.count(hour))
        return quantile(sketch(values), 0.95)

    def linked(self, hour: int) -> SignalSample:
        """Windows that take after the one before."""
        self.level = 0.4 * self.level + self.rng.standard_normal() / 10
        return SignalSample(np.array([self.level], dtype=np.float32), 0.01, 100, self.level)

    def embeddings(self, hour: int, *, moved: float = 0.0) -> SignalSample:
        count = self.count(hour)
        mix = self.rng.dirichlet(300 * ZIPF / ZIPF.sum())
        total = self.rng.multinomial(count, mix) @ TEXTS
        return features(total + moved * count * TEXTS[59], count)


def detector(seed: int, dimensions: int = 1) -> Detector:
    direction = "both" if dimensions == 1 else "up"
    return Detector("signal", DetectorRule(seed=seed), direction=direction, dimensions=dimensions)


def feed(
    watched: Detector,
    hours: range,
    windows: Callable[[int], SignalSample],
    *,
    run_length: float = RUN_LENGTH,
) -> list[bool]:
    """Return whether it was alarmed after each window."""
    alarmed_after = []
    for hour in hours:
        watched.step(hour, START + hour * HOUR, windows(hour), run_length=run_length)
        alarmed_after.append(watched.alarmed)
    return alarmed_after


def beginnings(alarmed_after: list[bool]) -> int:
    return sum(
        now and not before for before, now in zip([False, *alarmed_after], alarmed_after, strict=False)
    )


@pytest.mark.parametrize("run_length", [50.0, 500.0])
def test_a_chart_s_average_run_length_is_the_computed_one(run_length: float) -> None:
    threshold = threshold_for(run_length)
    assert average_run_length(threshold) == pytest.approx(run_length, rel=0.02)
    steps = np.random.default_rng(3).standard_normal((4000, int(run_length / 2)))
    levels, alarms = np.zeros(4000), 0
    for column in steps.T:  # 4000 charts at once; an alarm begins anew
        levels = np.maximum(0, levels + column - 0.5)
        alarms += int((levels >= threshold).sum())
        levels[levels >= threshold] = 0
    # Charts begin at 0, so within half a run length a little less than half of them has alarmed.
    assert 0.85 * 2000 < alarms < 1.1 * 2000


def test_an_alarm_ends_when_its_evidence_is_outweighed() -> None:
    chart = Cusum()
    for _ in range(4):
        chart = chart.step(4.0, threshold=6.0)
    assert chart == Cusum(6.0, alarmed=True)
    for _ in range(11):
        chart = chart.step(0.0, threshold=6.0)
        assert chart.alarmed
    assert chart.step(0.0, threshold=6.0) == Cusum(0.0, alarmed=False)


def test_ranks_are_uniform_whatever_the_distribution() -> None:
    rng = np.random.default_rng(1)
    ranks, deviates = Ranks(500), []
    for number in range(4000):
        value = float(rng.poisson(0.3))
        deviates.append(ranks.normal_score(value, tie_break=tie_break(1, number)))
        ranks.add(value)
    for deviate, share in ((-1.28, 0.1), (0.0, 0.5), (1.28, 0.9), (2.33, 0.99)):
        assert np.mean(np.array(deviates) < deviate) == pytest.approx(share, abs=0.02)
    assert len(ranks) == 500


def test_nothing_counts_for_more_than_the_cap_and_ties_break_the_same_way_again() -> None:
    ranks = Ranks(100, [float(value) for value in range(100)])
    assert ranks.normal_score(1e9, tie_break=0.5) == CAP
    assert ranks.normal_score(-1e9, tie_break=0.5) == -CAP
    assert tie_break("a", 1) == tie_break("a", 1) != tie_break("a", 2)


@pytest.mark.parametrize("kind", ["clicks", "rare", "never", "scores", "linked"])
def test_false_alarms_come_as_often_as_stated(kind: str) -> None:
    traffic, watched = Traffic(11), detector(11)
    feed(watched, range(8 * 168), getattr(traffic, kind))
    alarmed_after = feed(watched, range(8 * 168, WEEKS * 168), getattr(traffic, kind))
    assert beginnings(alarmed_after) / (len(alarmed_after) / RUN_LENGTH) == pytest.approx(1, abs=0.3)


def test_false_alarms_of_embeddings_come_as_often_as_stated() -> None:
    traffic, watched = Traffic(12), detector(12, DIMENSIONS)
    feed(watched, range(8 * 168), traffic.embeddings)
    alarmed_after = feed(watched, range(8 * 168, WEEKS * 168), traffic.embeddings)
    assert beginnings(alarmed_after) / (len(alarmed_after) / RUN_LENGTH) == pytest.approx(1, abs=0.3)


def test_a_fall_is_seen_at_once_is_not_learned_and_is_over_soon_after_its_end() -> None:
    traffic, watched = Traffic(2), detector(2)
    feed(watched, range(10 * 168), traffic.clicks, run_length=20_000)
    bad = feed(
        watched,
        range(10 * 168, 12 * 168),
        lambda hour: traffic.clicks(hour, worse=0.5),
        run_length=20_000,
    )
    assert bad.index(True) <= 4
    assert all(bad[4:]), "two weeks of it are still no reason to take it for usual"
    after = feed(watched, range(12 * 168, 13 * 168), traffic.clicks, run_length=20_000)
    assert after.index(False) <= 60
    assert not any(after[60:])


def test_queries_of_another_kind_are_seen() -> None:
    traffic, watched = Traffic(3), detector(3, DIMENSIONS)
    feed(watched, range(10 * 168), traffic.embeddings, run_length=20_000)
    alarmed_after = feed(
        watched,
        range(10 * 168, 10 * 168 + 48),
        lambda hour: traffic.embeddings(hour, moved=0.3),
        run_length=20_000,
    )
    assert any(alarmed_after)


def test_a_detector_goes_on_from_its_memory_and_the_memory_stays_small() -> None:
    traffic, one = Traffic(4), detector(4)
    feed(one, range(14 * 168), traffic.clicks)
    size = len(one.dump())
    other = detector(4)
    other.load(one.dump())
    windows = [traffic.clicks(hour) for hour in range(14 * 168, 18 * 168)]
    for hour, reading in enumerate(windows, start=14 * 168):
        seen = [each.step(hour, START + hour * HOUR, reading, run_length=1e9) for each in (one, other)]
        assert seen[0] is not None
        assert seen[1] is not None
        assert seen[0].rank == seen[1].rank
    assert len(one.dump()) <= size * 1.1


def test_a_memory_of_another_season_is_refused() -> None:
    stored = detector(1).dump()
    daily = Detector("signal", DetectorRule(season="day"), direction="both")
    with pytest.raises(ValueError, match="another season"):
        daily.load(stored)
