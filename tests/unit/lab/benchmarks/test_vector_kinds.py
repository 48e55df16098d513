"""The bench of index kinds: its material, its points and its drawing."""

import numpy as np
import pytest

from services.lab.benchmarks.vector_kinds import K, KindMaterial, KindPoint, _measure_size, _timed, plot
from services.lab.benchmarks.vectors import NOISE, perturbed_halves
from services.shards.vector_kernels import best_rows, score_rows
from tests.unit.shards.vectors import clustered, queries_near


def material_of(rows=2000, queries=12):
    vectors, _ = clustered(rows, 32)
    asked = queries_near(vectors, queries)
    return KindMaterial(vectors, asked, [score_rows(vectors, np.arange(rows), query) for query in asked])


def exact(material):
    return lambda _, number: best_rows(np.arange(len(material.vectors)), material.scores[number], K, ties=0)[
        0
    ]


def test_copies_are_near_their_originals_whatever_the_pieces():
    originals = np.eye(8, dtype=np.float32)[:5]
    rows = perturbed_halves(originals, 100_003, np.random.default_rng(1)).astype(np.float32)
    assert (rows[:5] == originals).all()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)
    nearness = (rows * originals[np.arange(len(rows)) % 5]).sum(axis=1)
    assert nearness.min() > 1 - NOISE
    assert nearness[5:].mean() < 0.97


def test_a_scan_is_exact_and_half_an_answer_is_half():
    material = material_of()
    assert _timed(material, "scan", 0, exact(material)).recall == 1
    half = exact(material)
    assert _timed(material, "half", 0, lambda query, number: half(query, number)[: K // 2]).recall == 0.5


def test_under_a_mask_what_it_allows_counts():
    material = material_of()
    masks = [np.arange(2000) % 400 == number for number in range(12)]
    rows = [np.flatnonzero(mask) for mask in masks]
    assert _timed(material, "", 0, lambda _, number: rows[number], masks=masks).recall == 1


@pytest.fixture(scope="module")
def measured():
    vectors, _ = clustered(11_000, 32)
    return _measure_size(vectors, queries_near(vectors, 80), say=lambda _: None)


def test_every_kind_is_held_against_a_flat_scan_and_filters_against_none(measured):
    rows, points = measured
    names = {row.name for row in rows}
    assert {"11,000: FAISS flat", "11,000: scan", "11,000: codes 100", "11,000: memory"} <= names
    assert {"11,000: filter 1.0%, any", "11,000: filter 50.0%, unlike the query"} <= names
    by_kind = {point.kind: point for point in points}
    assert by_kind["scan"].recall == by_kind["FAISS flat"].recall == 1
    assert all(row.bound for row in rows)


def test_the_points_are_drawn(measured, tmp_path):
    pytest.importorskip("matplotlib")
    _, points = measured
    points = [*points, KindPoint(100, "scan", 0, 1.0, (0.1, 0.2))]
    plot(points, tmp_path / "kinds.png")
    assert (tmp_path / "kinds.png").read_bytes().startswith(b"\x89PNG")
