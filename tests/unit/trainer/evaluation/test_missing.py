"""The judge of what is missing: from which queries it learns, and when it says nothing."""

from dataclasses import replace

import numpy as np

from services.trainer.dataset.domain.dataset import Dataset, DatasetManifest, ProductText, TrainingPair
from services.trainer.evaluation.hybrid import HybridPair
from services.trainer.evaluation.missing import missing_estimate, taught_by
from services.trainer.evaluation.sets import EmbeddedCorpus, validation_set
from services.trainer.evaluation.settings import ShopSearch
from services.trainer.evaluation.words import Words, texts_by_id
from shared.relevance.judge import teaches_miner

SHOP = ShopSearch()
KINDS = [f"kind{number}" for number in range(96)]
PER_KIND = 12


def text(kind, place):
    """Return a product's text: the right ones of a kind say its word."""
    return f"{kind} thing {place}" if place < 6 else f"other thing {place}"


def pair(kind, place, split):
    grade = 3.0 if place < 6 else 0.0
    return TrainingPair(
        query=kind, product_id=f"{kind}-{place:02}", value=grade, grade=grade, impressions=9, split=split
    )


def dataset(told=text):
    """Return a shop whose every query was shown the first eight of its kind's products."""
    products = tuple(
        ProductText(
            product_id=f"{kind}-{place:02}", text=told(kind, place), fields={"title": told(kind, place)}
        )
        for kind in sorted(KINDS)
        for place in range(PER_KIND)
    )
    pairs = [
        pair(kind, place, "novel_query" if number % 4 == 0 else "train")
        for number, kind in enumerate(KINDS)
        for place in (0, 1, 2, 3, 4, 6, 7)
    ]
    return Dataset(
        DatasetManifest(name="made", ranges=(), generation="g-1"),
        pairs=tuple(sorted(pairs, key=lambda it: (it.query, it.product_id))),
        negatives=(),
        products=products,
    )


def embedded(shop, seed=1):
    """Return vectors in which a kind's products lie around its query, right and wrong alike."""
    rng = np.random.default_rng(seed)
    axes = {kind: rng.standard_normal(32) for kind in KINDS}
    ids = sorted(product.product_id for product in shop.products)
    rows = np.stack([axes[name.rsplit("-", 1)[0]] + 0.9 * rng.standard_normal(32) for name in ids])
    return EmbeddedCorpus(ids, unit(rows), {kind: unit(axes[kind]) for kind in KINDS})


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def search(shop, candidate):
    words = Words(texts_by_id(shop.products, SHOP.text), SHOP.text)
    live = embedded(shop)
    return HybridPair.of(live, candidate, words, shop=SHOP, fit_set=validation_set(shop))


def mixed_up(corpus):
    return replace(corpus, documents=np.roll(corpus.documents, 5 * PER_KIND, axis=0))


def test_the_gates_judge_learns_from_no_query_of_the_miners_and_from_none_that_is_held_out():
    shop = dataset()
    held_out = {it.query for it in shop.of("novel_query")}
    taught = taught_by(shop)
    assert taught
    assert not any(teaches_miner(query) or query in held_out for query in taught)
    learned = {it.query for it in shop.of("train")}
    assert {query for query in learned - taught.keys() if not teaches_miner(query)} == set()


def test_where_words_tell_more_than_the_cosine_it_estimates_what_nobody_graded():
    shop = dataset()
    live = embedded(shop)
    same = missing_estimate(shop, search(shop, live))
    assert same is not None
    assert (same.difference, same.low, same.high) == (0, 0, 0)
    assert same.queries == 24
    worse = missing_estimate(shop, search(shop, mixed_up(live)))
    assert worse is not None
    assert worse.difference < 0
    assert worse.low < worse.difference < worse.high


def test_where_words_say_nothing_more_it_is_silent():
    shop = dataset(told=lambda _, place: f"all alike {place}")
    assert missing_estimate(shop, search(shop, embedded(shop))) is None


def test_without_held_out_queries_it_is_silent():
    shop = dataset()
    without = replace(shop, pairs=shop.of("train"))
    assert missing_estimate(without, search(shop, embedded(shop))) is None


def test_of_too_few_queries_it_learns_nothing():
    shop = dataset()
    few = {*sorted(taught_by(shop))[:19]}
    kept = tuple(it for it in shop.pairs if it.query in few or it.split != "train")
    assert missing_estimate(replace(shop, pairs=kept), search(shop, embedded(shop))) is None
