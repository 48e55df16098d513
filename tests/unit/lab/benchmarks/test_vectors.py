"""The shard bench's input, and what it makes of answers."""

import numpy as np
import pytest

from services.lab.benchmarks.shards import recall
from services.lab.benchmarks.vectors import alive, life, perturbed
from services.lab.simulation.truth import spearman


def unit_rows(count: int, dimensions: int = 16) -> np.ndarray:
    rows = np.random.default_rng(0).standard_normal((count, dimensions)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_originals_come_first_and_every_copy_is_near_its_original():
    originals = unit_rows(50)
    rows = perturbed(originals, 120, np.random.default_rng(1))
    assert np.abs(rows[:50] - originals).max() < 1e-3
    assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 2e-3
    cosines = (rows[50:] * originals[np.arange(50, 120) % 50]).sum(axis=1)
    assert 0.8 < cosines.min() < cosines.max() < 0.999


def test_a_life_overwrites_and_deletes_as_many_as_it_was_told():
    history = life(1000, overwrites=0.1, deletes=0.05, rng=np.random.default_rng(1))
    assert len(history) == 1150
    assert sum(written.row is None for written in history) == 50
    living = alive(history)
    assert len(living) == 950
    assert sum(row >= 1000 for row in living.values()) >= 50


def test_recall_is_the_share_of_the_true_answers():
    assert recall([["a", "b"], ["c", "d"]], [["b", "x"], ["d", "c"]]) == pytest.approx(0.75)


def test_rank_correlation_sees_order_only():
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 1000.0, 1001.0])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1)
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])) == 0
