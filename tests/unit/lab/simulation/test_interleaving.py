import numpy as np
import pytest

from services.lab.simulation.interleaving import RankedPair, clicked, pages, sessions
from services.lab.simulation.shoppers import CASCADE, SHOPPERS, ClickModel

GRADES = np.random.default_rng(1).choice(4, size=(20, 15))


def ranked(seed):
    return np.argsort(-(GRADES + np.random.default_rng(seed).normal(0, 2, GRADES.shape)), axis=1)


def test_equal_rankings_tell_nothing():
    drafts = pages(RankedPair(GRADES, ranked(1), ranked(1)))
    assert drafts.apart == 0
    assert np.abs(drafts.drafted).min() == 1


def test_shoppers_who_choose_by_place_alone_prefer_nobody():
    drafts = pages(RankedPair(GRADES, ranked(1), ranked(2)))
    blind = ClickModel(appeal=(0.3, 0.3, 0.3, 0.3), cart=(0.2, 0.2, 0.2, 0.2))
    sums = sessions(drafts, blind, 50_000, np.random.default_rng(3))
    for scores in (sums.decisive[1.0], sums.decisive[10.0]):
        assert abs(scores.mean()) < 4 * scores.std() / np.sqrt(len(scores))


@pytest.mark.parametrize("name", SHOPPERS)
def test_shoppers_prefer_who_ranks_the_better_products_first(name):
    best = np.argsort(-GRADES, axis=1)
    sums = sessions(
        pages(RankedPair(GRADES, ranked(1), best)), SHOPPERS[name], 5_000, np.random.default_rng(3)
    )
    assert sums.decisive[1.0].mean() > 4 * sums.decisive[1.0].std() / np.sqrt(5_000)
    assert (np.abs(sums.decisive[1.0]) <= sums.acted).all()


def test_cascade_shoppers_click_once_a_page_at_most():
    clicks = clicked(CASCADE, GRADES, np.random.default_rng(4))
    assert set(clicks.sum(axis=1)) <= {0, 1}
