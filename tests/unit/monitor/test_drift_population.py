"""The population stability index: small by chance, large for another population, never an alarm."""

import numpy as np
import pytest

from services.monitor.drift.domain.population import BINS, DAYS, Population, stability
from services.monitor.drift.domain.sketches import opened, sketch

WINDOWS = 24


def values(rng: np.random.Generator, *, by: float = 0.0, count: int = 300) -> bytes:
    return sketch(rng.normal(0.5 + by, 0.1, count).astype(np.float32))


def weeks(rng: np.random.Generator, days: int = DAYS) -> Population:
    known = Population()
    for number in range(days * WINDOWS):
        known = known.with_window(number // WINDOWS, values(rng), usual=True)
    return known


def test_of_one_population_it_is_what_chance_gives() -> None:
    rng = np.random.default_rng(1)
    known = weeks(rng)
    indices = []
    for _ in range(50):
        index = known.with_window(DAYS, values(rng), usual=True).stability()
        assert index is not None
        indices.append(index.psi)
    assert index.by_chance == pytest.approx((BINS - 1) / 300, rel=0.1)
    assert np.mean(indices) == pytest.approx(index.by_chance, rel=0.35)


def test_of_another_one_it_is_large() -> None:
    rng = np.random.default_rng(2)
    index = weeks(rng).with_window(DAYS, values(rng, by=0.1), usual=True).stability()
    assert index is not None
    assert index.psi > 0.25 > 5 * index.by_chance


def test_by_the_formula() -> None:
    usual = opened(sketch(np.arange(100, dtype=np.float32)))
    now = opened(sketch(np.arange(50, dtype=np.float32)))
    assert stability([usual], usual).psi == pytest.approx(0, abs=1e-9)
    full, empty = 0.1 * np.log(2), (0.1 - 0.01) * np.log(0.1 / 0.01)
    assert stability([usual], now).psi == pytest.approx(5 * full + 5 * empty, rel=0.1)


def test_values_that_are_all_alike_are_no_trouble() -> None:
    same = sketch(np.full(60, 0.5, np.float32))
    known = Population().with_window(0, same, usual=True).with_window(0, same, usual=True)
    index = known.stability()
    assert index is not None
    assert index.psi == pytest.approx(0, abs=1e-9)


def test_it_has_nothing_to_say_at_first() -> None:
    assert Population().stability() is None
    assert Population().with_window(0, values(np.random.default_rng(3)), usual=True).stability() is None


def test_what_is_odd_does_not_become_usual_and_what_is_old_is_forgotten() -> None:
    rng = np.random.default_rng(4)
    known = weeks(rng, days=2).with_window(2, values(rng, by=1), usual=True)
    odd = known.with_window(2, values(rng), usual=False)
    assert odd.days == known.days
    later = weeks(rng, days=DAYS + 5)
    assert min(later.days) == 5
    assert len(later.days) == DAYS


def test_it_survives_json() -> None:
    known = weeks(np.random.default_rng(5), days=2)
    assert Population.model_validate_json(known.model_dump_json()) == known
