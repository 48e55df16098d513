"""Which product lies in which partition changes no score and no list."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.filters import RangeFilter
from services.shards.searching import ViewQuery, hits_of, search
from shared.kafka.partitioning import partition_of
from tests.unit.shards.builders import NOW, log, message, opened

WORDS = ["red", "blue", "shoe", "hat", "lamp", "running"]


def catalogue(count):
    """Return products, many of them with equal vectors and words, by id."""
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((count // 3, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return {
        f"p{number}": message(
            f"p{number}",
            *vectors[rng.integers(0, len(vectors), rng.integers(0, 3))],
            fields={
                "title": " ".join(rng.choice(WORDS, 2)),
                "text": " ".join(rng.choice(WORDS, 6)),
                "price": int(rng.integers(0, 9)),
            },
            dimensions=8,
        )
        for number in range(count)
    }


PRODUCTS = catalogue(240)


def shard_of(root, number, partitions):
    """Return a shard of so many: each layout is applied in other batches, and saved at other times."""
    mine = [one for name, one in PRODUCTS.items() if partition_of(name.encode(), partitions) == number]
    shard = opened(root, seal_rows=40)
    entries = log(*mine, *mine[: len(mine) // 3], "p0")
    size = 9 + partitions
    for start in range(0, len(entries), size):
        shard.apply(entries[start : start + size], start + size)
        if start % 4 == partitions % 4:
            shard.checkpoint(NOW)
    while partitions == 4 and shard.merge():
        pass
    return shard


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """Give the same products in 1, 4 and 8 partitions."""
    shards = {
        count: [shard_of(tmp_path_factory.mktemp("layout"), number, count) for number in range(count)]
        for count in (1, 4, 8)
    }
    yield [[shard.view for shard in group] for group in shards.values()]
    for group in shards.values():
        for shard in group:
            shard.close()


queries = st.builds(
    ViewQuery,
    vector=st.integers(0, 99)
    .map(lambda seed: np.random.default_rng(seed).standard_normal(8))
    .map(lambda vector: (vector / np.linalg.norm(vector)).astype(np.float32)),
    text=st.lists(st.sampled_from([*WORDS, "zebra"]), min_size=1, max_size=4).map(" ".join),
    k=st.integers(1, 60),
    mode=st.sampled_from(["hybrid", "dense", "lexical"]),
    filters=st.sampled_from([(), (RangeFilter(op="range", field="price", lt=2),)]),
    exact=st.just(True),
)


@settings(max_examples=150, deadline=None)
@given(queries)
def test_candidates_and_scores_are_the_same_to_the_bit(layouts, query):
    answers = []
    for views in layouts:
        by_shard = zip(views, search(views, query), strict=True)
        hits = [hit for view, scores in by_shard for hit in hits_of(view, scores)]
        answers.append(sorted((hit.product_id, hit.dense, hit.lexical, hit.passage) for hit in hits))
    assert answers[0] == answers[1] == answers[2]
