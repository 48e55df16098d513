"""Segments with codes, in a whole shard: merged ones have them, and answers are those of a scan."""

import numpy as np
import pytest

from services.shards.admission import CODED_ROWS
from services.shards.live_recall import KEPT, recall
from services.shards.nearest import nearest_rows
from services.shards.searching import REPEATED, ViewQuery
from services.shards.segment import CODES, REPORT, open_segment
from services.shards.store import SEGMENTS
from tests.unit.shards.builders import NOW, log, message, opened
from tests.unit.shards.vectors import clustered, queries_near

PRODUCTS, DIMENSIONS = CODED_ROWS + 2000, 32


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Give a shard on disk whose one segment was merged of two, every third product with two passages."""
    place = tmp_path_factory.mktemp("coded")
    vectors, _ = clustered(PRODUCTS + PRODUCTS // 3, DIMENSIONS)
    shard = opened(place, seal_rows=PRODUCTS // 2)
    spare = iter(vectors[PRODUCTS:])
    messages = [
        message(f"p{number}", vector, *([next(spare)] if number % 3 == 1 else []), fields={"n": number})
        for number, vector in enumerate(vectors[:PRODUCTS])
    ]
    for start in range(0, PRODUCTS, 1000):
        shard.apply(log(*messages[start : start + 1000], start=start), start + 1000)
    shard.apply(log(*(f"p{number}" for number in range(0, 2000, 2)), start=PRODUCTS), PRODUCTS + 1000)
    shard.checkpoint(NOW)
    while shard.merge():
        pass
    shard.checkpoint(NOW)
    shard.close()
    return place


@pytest.fixture(scope="module")
def part(root):
    shard = opened(root)
    yield part_of(shard)
    shard.close()


def part_of(shard):
    (part,) = (part for part in shard.view.parts if part.size)
    return part


def brute(part, query, k, allowed):
    scores = part.rows.vectors.astype(np.float64) @ query.astype(np.float64)
    best = np.maximum.reduceat(scores, part.rows.starts[:-1])
    return np.sort(best[allowed])[::-1][:k]


def test_a_merged_segment_has_codes_and_a_report_of_them(part):
    assert part.funnel is not None
    assert part.funnel.admission.rows == len(part.rows.vectors) > CODED_ROWS
    assert part.funnel.admission.recall[part.funnel.admission.depth] >= 0.98


def test_one_of_a_thousand_searches_is_done_again_and_what_it_had_found_is_counted(root):
    shard = opened(root)
    queries = queries_near(part_of(shard).rows.vectors, 20, seed=4)
    before = sum(bucket.get() for bucket in recall._buckets)
    for turn in range(REPEATED):
        shard.view.search(ViewQuery(vector=queries[turn % 20], k=1, mode="dense"))
    assert sum(bucket.get() for bucket in recall._buckets) == before + 1
    assert len(shard.view.queries.vectors(DIMENSIONS)) == KEPT
    shard.close()


@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.05, 0.001])
def test_the_nearest_products_are_found_each_once_by_its_best_passage(part, k, share):
    allowed = part.live & (np.random.default_rng(2).random(part.size) < share)
    hits, wanted = 0, 0
    for query in queries_near(part.rows.vectors, 40, seed=9):
        near = nearest_rows(part, query, k, allowed=allowed)
        expected = brute(part, query, k, allowed)
        assert allowed[near.places].all()
        assert len(set(near.places.tolist())) == len(near.places) >= min(k, allowed.sum())
        exact = nearest_rows(part, query, k, allowed=allowed, exact=True)
        np.testing.assert_allclose(np.sort(exact.scores)[::-1][:k], expected, atol=2e-6)
        of_place = dict(zip(exact.places.tolist(), exact.scores.tolist(), strict=True))
        same = [
            of_place[place] == score
            for place, score in zip(*(near.places.tolist(), near.scores.tolist()), strict=True)
            if place in of_place
        ]
        assert all(same)
        hits, wanted = hits + len(same), wanted + len(expected)
    assert hits >= 0.98 * wanted


@pytest.mark.parametrize("name", [CODES, REPORT])
def test_a_segment_whose_codes_or_report_are_another_ones_is_refused(root, part, tmp_path, name):
    directory = next((root / "shard" / SEGMENTS).glob(part.name))
    copy = tmp_path / part.name
    copy.mkdir()
    for file in directory.iterdir():
        copy.joinpath(file.name).write_bytes(file.read_bytes())
    assert open_segment(copy, title_weight=2).funnel is not None
    copy.joinpath(name).write_bytes(b"rubbish")
    with pytest.raises(ValueError, match=r"not an index|not a report"):
        open_segment(copy, title_weight=2)
