"""The dense funnel held against brute force: sizes, masks, k; filters unlike the query; threads; damage."""

import threading
from functools import cache

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.shards.admission import RecallReport, admit
from services.shards.codes import make_codes, parts_of, read_codes, write_codes
from services.shards.dense import DensePart, DenseSearch, nearest, scored
from tests.unit.shards.vectors import clustered, normal, queries_near, scattered

ROWS, DIMENSIONS = 20_000, 64
SHARES = (0.001, 0.01, 0.05, 0.2, 0.5)


def part_of(vectors, kind="scan", queries=None):
    codes, report = admit(vectors, queries, kind=kind)
    return DensePart(vectors, codes, report)


def brute(vectors, query, k, mask=None):
    """Return scores of the k nearest rows, best first."""
    scores = vectors.astype(np.float64) @ query.astype(np.float64)
    scores = scores if mask is None else scores[mask]
    return np.sort(scores)[::-1][:k]


def recall(part, query, k=10, **how):
    """Return the share of the k nearest that is found, by score: of equal rows either is right."""
    expected = brute(part.vectors, query, k, how.get("mask"))
    if not expected.size:
        return 1.0
    found = nearest(part, query, k, **how).scores[: expected.size]
    return float((found >= expected[-1] - 1e-6).mean()) if found.size == expected.size else 0.0


@cache
def example(data, kind):
    """Return a part, queries in its neighbourhood, and the cluster of each row."""
    if data == "random":
        vectors, cluster = scattered(ROWS, DIMENSIONS), np.arange(ROWS) % 100
    else:
        vectors, cluster = clustered(ROWS, DIMENSIONS)
    queries = queries_near(vectors, 120)
    return part_of(vectors, kind, queries[60:]), queries[:60], cluster


KINDS = [(data, kind) for data in ("clustered", "random") for kind in ("scan", "codes", "lists")]


@given(
    rows=st.integers(0, 60),
    dimensions=st.sampled_from([1, 2, 16, 17, 48, 97]),
    copies=st.integers(1, 4),
    k=st.integers(-1, 80),
    data=st.data(),
)
def test_an_exact_search_is_brute_force(rows, dimensions, copies, k, data):
    vectors = np.repeat(scattered(rows, dimensions), copies, axis=0)
    mask = data.draw(arrays(np.bool_, len(vectors)))
    query = scattered(1, dimensions, seed=5)[0].astype(np.float32)
    found = nearest(part_of(vectors), query, k, mask=mask, exact=True)
    expected = brute(vectors, query, max(0, k), mask)
    assert mask[found.rows].all()
    assert len(set(found.rows.tolist())) == len(found.rows)
    np.testing.assert_allclose(found.scores[: len(expected)], expected, atol=2e-6)
    assert len(found.rows) >= len(expected)
    order = list(zip((-found.scores).tolist(), found.rows.tolist(), strict=True))
    assert order == sorted(order)
    # All copies of the last one are there: which of them counts is for the caller to say.
    if expected.size:
        scores = scored(part_of(vectors), query, np.flatnonzero(mask))
        assert len(found.rows) == (scores >= found.scores[-1]).sum()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(32, 400),
    dimensions=st.sampled_from([16, 19, 24, 64]),
    kind=st.sampled_from(["codes", "lists"]),
    k=st.integers(1, 40),
    share=st.sampled_from([0.02, 0.3, 0.7, 1.0]),
    seed=st.integers(0, 20),
)
def test_whatever_codes_find_is_in_the_mask_with_its_exact_score(rows, dimensions, kind, k, share, seed):
    vectors, _ = clustered(rows, dimensions, seed, clusters=8)
    report = RecallReport(kind=kind, rows=rows, goal=0.9, reason="", depth=20, probes=2, reach=0.2)
    codes = make_codes(vectors, 1 if kind == "codes" else 4)
    mask = np.random.default_rng(seed).random(rows) < share
    query = queries_near(vectors, 1, seed)[0]
    part = DensePart(vectors, codes, report)
    search = DenseSearch(part, query, mask=mask)
    found = search.best(k)
    assert len(found.rows) >= min(k, mask.sum()) or not search.scanned
    assert mask[found.rows].all()
    assert len(set(found.rows.tolist())) == len(found.rows)
    assert found.scores.tobytes() == scored(part, query, found.rows).tobytes()
    everything = nearest(part, query, rows, mask=mask, exact=True)
    scores = dict(zip(everything.rows.tolist(), everything.scores.tolist(), strict=True))
    assert [scores[row] for row in found.rows.tolist()] == found.scores.tolist()


@pytest.mark.parametrize(("data", "kind"), KINDS)
def test_nine_hundred_and_eighty_of_a_thousand_neighbours_are_found(data, kind):
    part, queries, _ = example(data, kind)
    assert np.mean([recall(part, query) for query in queries]) >= 0.98
    assert np.mean([recall(part, query, k=100) for query in queries]) >= 0.98
    assert min(recall(part, query, exact=True) for query in queries) == 1


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("data", "kind"), KINDS)
def test_as_many_are_found_under_a_filter(data, kind, share):
    part, queries, _ = example(data, kind)
    mask = np.random.default_rng(7).random(ROWS) < share
    assert np.mean([recall(part, query, mask=mask) for query in queries]) >= 0.98


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("data", "kind"), KINDS)
def test_as_many_are_found_when_all_that_is_near_is_left_out(data, kind, share):
    part, queries, cluster = example(data, kind)
    found = []
    for query in queries:
        scores = part.vectors.astype(np.float32) @ query
        means = np.array([scores[cluster == one].mean() for one in range(100)])
        far = np.argsort(means)[: max(1, int(share * 100))]
        found.append(recall(part, query, mask=np.isin(cluster, far)))
        found.append(recall(part, query, mask=scores <= np.quantile(scores, share)))
    assert np.mean(found) >= 0.98


def test_one_of_a_hundred_is_answered_exactly():
    part, queries, _ = example("clustered", "codes")
    mask = np.arange(ROWS) % 100 == 0
    search = DenseSearch(part, queries[0], mask=mask)
    search.best(10)
    assert search.scanned


@pytest.mark.parametrize("kind", ["codes", "lists"])
def test_going_on_gives_what_asking_for_more_at_once_gives(kind):
    part, queries, _ = example("clustered", kind)
    for query in queries[:20]:
        search = DenseSearch(part, query)
        first = search.best(10).scores[:10]
        further = search.best(200)
        assert (further.scores[:10] >= first).all()
        assert further.rows.tolist() == nearest(part, query, 200).rows.tolist()
        assert search.best(10).rows[:10].tolist() == further.rows[:10].tolist()


@pytest.mark.parametrize("kind", ["codes", "lists"])
def test_asking_for_all_gives_all(kind):
    part, queries, _ = example("random", kind)
    assert sorted(nearest(part, queries[0], ROWS).rows.tolist()) == list(range(ROWS))


def test_many_copies_of_one_vector_come_in_the_order_of_their_rows():
    vectors = np.concatenate([clustered(6000, 32)[0], np.tile(scattered(1, 32), (500, 1))])
    part = part_of(vectors, "codes")
    found = nearest(part, vectors[-1].astype(np.float32), 10)
    assert found.rows[:10].tolist() == sorted(found.rows[:10].tolist())
    assert (found.scores == found.scores[0]).all()


@pytest.mark.parametrize("kind", ["codes", "lists"])
def test_eight_threads_get_the_answers_that_one_gets(kind):
    part, queries, _ = example("clustered", kind)
    masks = [None, np.arange(ROWS) % 3 == 0]
    expected = [[nearest(part, query, 10, mask=mask).rows.tolist() for query in queries] for mask in masks]
    answers = {}

    def ask(thread):
        mine = range(thread, len(queries) * 8, 3)
        answers[thread] = [
            nearest(part, queries[turn % 60], 10, mask=masks[turn % 2]).rows.tolist()
            == expected[turn % 2][turn % 60]
            for turn in mine
        ]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert all(all(same) for same in answers.values())


@pytest.mark.parametrize("kind", ["codes", "lists"])
def test_the_same_rows_give_the_same_codes_and_codes_come_back_as_they_were(kind):
    part, queries, _ = example("clustered", kind)
    content = write_codes(part.codes)
    assert write_codes(make_codes(part.vectors, part.codes.lists)) == content
    again = DensePart(
        part.vectors, read_codes(content, part.vectors), RecallReport.parse(part.admission.json())
    )
    assert again.admission == part.admission
    for query in queries[:20]:
        assert nearest(again, query, 10).rows.tolist() == nearest(part, query, 10).rows.tolist()


def test_codes_of_other_rows_or_of_another_kind_are_refused():
    vectors, _ = clustered(500, 32)
    content = write_codes(make_codes(vectors))
    for others in (vectors[:-1], scattered(500, 16), np.concatenate([vectors, vectors])):
        with pytest.raises(ValueError, match="codes of 500 rows of 32"):
            read_codes(content, others)
    flat = faiss.IndexFlatIP(32)
    flat.add(vectors.astype(np.float32))
    with pytest.raises(ValueError, match="another kind: IndexFlatIP"):
        read_codes(faiss.serialize_index(flat), vectors)
    with pytest.raises(ValueError, match="not an index"):
        read_codes(b"rubbish", vectors)


def test_codes_that_were_cut_off_are_refused():
    vectors, _ = clustered(500, 32)
    content = write_codes(make_codes(vectors))
    for size in range(0, len(content), 97):
        with pytest.raises(ValueError):  # noqa: PT011 - whichever part is missed first
            read_codes(content[:size], vectors)


def test_a_row_number_that_was_damaged_is_noticed_before_memory_is_read_by_it():
    vectors, _ = clustered(500, 32)
    content = bytearray(write_codes(make_codes(vectors)))
    at = content.index(np.arange(8, dtype=np.int64).tobytes())
    content[at + 6] ^= 0x40
    with pytest.raises(ValueError, match="every row once"):
        read_codes(bytes(content), vectors)


@pytest.mark.parametrize(
    ("dimensions", "parts"), [(8, None), (16, 4), (97, 97), (100, 25), (384, 96), (768, 192)]
)
def test_half_a_byte_stands_for_four_numbers_where_they_can_be_divided_so(dimensions, parts):
    assert parts_of(dimensions) == parts


@pytest.mark.parametrize("wrong", [np.zeros(5), np.full(16, np.nan), np.full(16, np.inf)])
def test_a_query_of_another_shape_or_with_no_number_is_refused(wrong):
    with pytest.raises(ValueError, match="16 finite numbers"):
        nearest(part_of(scattered(20, 16)), wrong, 5)


def test_a_mask_of_another_length_is_refused():
    with pytest.raises(ValueError, match="a mask of 3 for 20 rows"):
        nearest(part_of(scattered(20, 16)), np.ones(16, np.float32), 5, mask=np.ones(3, np.bool_))


def test_a_row_that_is_not_there_has_no_score():
    with pytest.raises(ValueError, match="rows 3 to 20 of 20"):
        scored(part_of(scattered(20, 16)), np.ones(16, np.float32), np.array([3, 20]))


def test_parts_whose_pieces_disagree_are_refused():
    vectors = normal(scattered(50, 16))
    part = part_of(vectors)
    with pytest.raises(ValueError, match="a report of 50 rows"):
        DensePart(vectors[:40], None, part.admission)
    with pytest.raises(ValueError, match="has codes, or has none"):
        DensePart(vectors, make_codes(vectors), part.admission)
    with pytest.raises(ValueError, match="float16 rows"):
        DensePart(vectors.astype(np.float32), None, part.admission)
