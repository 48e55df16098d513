"""The recall of the live index: which searches are repeated, and how they are compared."""

import threading

import numpy as np
import pytest

from services.shards.live_recall import KEPT, RecallSampler, RecentQueries, recall, recall_of


def scores(*values):
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("found", "exact", "share"),
    [
        (scores(), scores(), 1),
        (scores(), scores(0.5), 0),
        (scores(0.9, 0.5), scores(0.9, 0.5), 1),
        (scores(0.9, 0.4), scores(0.9, 0.5), 0.5),
        (scores(0.9), scores(0.9, 0.5), 0.5),
        (scores(0.9, 0.5, 0.5, 0.5), scores(0.9, 0.5), 1),
    ],
)
def test_recall_is_the_share_of_answers_as_good_as_the_exact_ones(found, exact, share):
    assert recall_of(found, exact) == share


def test_one_of_so_many_searches_is_repeated_whoever_asks():
    sampler = RecallSampler(every=10)
    due = []

    def ask():
        due.extend(sampler.due() for _ in range(500))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(due) == 400


def test_none_is_repeated_where_none_is_asked_for():
    assert not any(RecallSampler(every=0).due() for _ in range(100))


def test_what_was_found_is_counted():
    before = recall._sum.get()
    assert RecallSampler(every=1).observe(scores(0.9, 0.4), scores(0.9, 0.5)) == 0.5
    assert recall._sum.get() == before + 0.5


def test_the_last_queries_are_kept_of_those_that_are_numbers():
    queries = RecentQueries()
    assert queries.vectors(2).shape == (0, 2)
    for number in range(KEPT + 20):
        queries.add(scores(number, 1))
    queries.add(scores(1, 2, 3))
    queries.add(scores(np.nan, 1))
    kept = queries.vectors(2)
    assert kept.shape == (KEPT - 2, 2)
    assert kept[-1].tolist() == [KEPT + 19, 1]
