"""Compiled loops over vectors, held against NumPy; and that a score has the same bits wherever it is made."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.shards.vector_kernels import best_rows, rows_of, score_rows
from tests.unit.shards.vectors import scattered

SCORES = st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0, -np.inf]), max_size=60)


def query_of(dimensions, seed=3):
    return scattered(1, dimensions, seed)[0].astype(np.float32)


@given(rows=st.integers(0, 40), dimensions=st.integers(1, 200), seed=st.integers(0, 99))
@example(rows=3, dimensions=1, seed=0)
@example(rows=20, dimensions=384, seed=0)
@example(rows=20, dimensions=1023, seed=0)
def test_scores_are_inner_products(rows, dimensions, seed):
    vectors, query = scattered(rows, dimensions, seed), query_of(dimensions, seed + 1)
    scores = score_rows(vectors, np.arange(rows), query)
    exact = vectors.astype(np.float64) @ query.astype(np.float64)
    np.testing.assert_allclose(scores, exact, atol=2e-6)


@given(
    dimensions=st.integers(1, 200),
    order=st.permutations(range(12)),
    before=st.integers(0, 30),
    offset=st.integers(0, 7),
)
def test_a_row_scores_the_same_bits_wherever_it_lies_and_whatever_is_beside_it(
    dimensions, order, before, offset
):
    vectors, query = scattered(12, dimensions), query_of(dimensions)
    alone = np.array(
        [score_rows(vectors[row : row + 1], np.zeros(1, np.int64), query)[0] for row in range(12)]
    )
    # Elsewhere: behind other rows, in another order, at an address that is no multiple of anything.
    memory = np.empty((before + 12) * dimensions + offset, np.float16)
    elsewhere = memory[offset:].reshape(before + 12, dimensions)
    elsewhere[:before] = 1
    elsewhere[before:] = vectors[order]
    scores = score_rows(elsewhere, np.arange(before, before + 12), query)
    assert scores.tobytes() == alone[list(order)].tobytes()


def test_the_smallest_and_the_largest_halves_are_converted_as_they_are():
    halves = np.array([[6e-8, -6e-8, 65504, -65504, 0.333]], np.float16)
    for place in range(5):
        query = np.zeros(5, np.float32)
        query[place] = 1
        assert score_rows(halves, np.zeros(1, np.int64), query)[0] == np.float32(halves[0, place])


def test_arrays_that_may_not_be_written_are_read():
    vectors, query = scattered(5, 32), query_of(32)
    expected = score_rows(vectors, np.arange(5), query)
    rows = np.arange(5)
    for array in (vectors, query, rows):
        array.flags.writeable = False
    assert score_rows(vectors, rows, query).tobytes() == expected.tobytes()


@given(values=SCORES, k=st.integers(-1, 70), ties=st.integers(0, 8), step=st.integers(1, 3))
def test_the_best_come_first_then_the_earlier_row_then_what_ties_with_the_last(values, k, ties, step):
    scores, rows = np.array(values, np.float32), np.arange(len(values)) * step
    order = sorted(range(len(values)), key=lambda place: (-scores[place], place))
    best = order[: max(0, k)]
    tied = [place for place in order[len(best) :] if best and scores[place] == scores[best[-1]]][:ties]
    found, their_scores = best_rows(rows, scores, k, ties=ties)
    assert found.tolist() == [rows[place] for place in best + tied]
    assert their_scores.tolist() == [scores[place] for place in best + tied]


@given(mask=arrays(np.bool_, st.integers(0, 300)))
def test_the_rows_of_a_mask_are_those_that_it_chooses(mask):
    assert rows_of(mask).tolist() == np.flatnonzero(mask).tolist()
