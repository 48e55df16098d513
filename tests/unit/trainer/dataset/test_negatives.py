"""What is learned as no answer: neither what is right by another name, nor what is held out."""

from collections import defaultdict
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.judgements import Negative
from services.trainer.dataset.build import dataset_of
from services.trainer.dataset.domain.assembly import Assembled, assemble
from services.trainer.dataset.domain.cleaning import Removed, TrainingJudgement
from services.trainer.dataset.domain.dataset import HardNegative
from services.trainer.dataset.domain.leakage import leaks
from services.trainer.dataset.domain.similarity import Similarity
from services.trainer.dataset.domain.split import Splitter
from shared.catalogue.words import canonical
from tests.unit.trainer.dataset.test_assembly import INPUTS, trained
from tests.unit.trainer.dataset.worlds import (
    PRODUCTS,
    SELECTION,
    catalogue,
    judged,
    negative,
    shops,
    sources,
)

Shop = tuple[list[TrainingJudgement], list[Negative]]
LARGE = {f"n{number}": f"thing of kind {number} number {number * 7}" for number in range(300)}


def random_ones(contents: Assembled) -> list[HardNegative]:
    return [it for it in contents.negatives if it.difficulty == "random"]


def one_query(*more: TrainingJudgement, titles: dict[str, str] = LARGE, seed: int = 0) -> Assembled:
    """Return a data set of a query with a negative that shoppers skipped, and a catalogue of these titles."""
    query, product_id = trained()
    known = sources([judged(query, product_id, grade=0.2), *more], [negative(query, product_id)])
    entries = {**known.entries, **catalogue(**titles).entries()}
    return assemble(replace(known, entries=entries), SELECTION, generation="g1", seed=seed)


@given(shops(), st.integers(0, 5))
def test_a_random_negative_was_never_shown_nor_is_it_the_same_as_what_was(shop: Shop, seed: int) -> None:
    known = sources(*shop)
    contents = assemble(known, SELECTION, generation="g1", seed=seed)
    similarity, splitter = Similarity(known.entries, SELECTION), Splitter(SELECTION)
    shown: defaultdict[str, set[str]] = defaultdict(set)
    for pair in (*shop[0], *contents.pairs):
        shown[canonical(pair.query)].add(pair.product_id)
    mined = {it.query for it in contents.negatives if it.difficulty != "random"}
    new = {it.product_id for it in contents.pairs if it.split in {"novel_product", "zero_shot"}}
    for one in random_ones(contents):
        assert one.query in mined
        assert similarity.products([one.product_id], shown[canonical(one.query)] | new) == set()
        assert not splitter.product_is_held_out(known.entries[one.product_id].key)
    assert leaks(contents.leakage) == []
    keys = [(it.query, it.product_id) for it in contents.negatives]
    assert len(keys) == len(set(keys))


@given(shops(), st.randoms(use_true_random=False))
def test_the_draw_hangs_on_seed_and_query_and_not_on_any_order(shop: Shop, rng: Random) -> None:
    pairs, mined = list(shop[0]), list(shop[1])
    one = dataset_of(sources(pairs, mined), INPUTS)
    rng.shuffle(pairs)
    rng.shuffle(mined)
    known = sources(pairs, mined)
    names = list(known.entries)
    rng.shuffle(names)
    again = dataset_of(replace(known, entries={name: known.entries[name] for name in names}), INPUTS)
    assert one.negatives == again.negatives


def test_as_many_are_drawn_as_is_said_and_by_another_seed_others() -> None:
    first, again, other = (random_ones(one_query(seed=seed)) for seed in (0, 0, 1))
    assert len(first) == len(other) == SELECTION.random_negatives == 3
    assert first == again != other


def test_of_a_small_catalogue_fewer_are_drawn() -> None:
    query, product_id = trained()
    every = [judged(query, name, grade=0.2) for name in PRODUCTS if name != product_id]
    assert random_ones(one_query(*every, titles={})) == []
    lone = next(
        name
        for name, entry in catalogue(**LARGE).entries().items()
        if not Splitter(SELECTION).product_is_held_out(entry.key)
    )
    drawn = random_ones(one_query(*every, titles={lone: LARGE[lone]}))
    assert [it.product_id for it in drawn] == [lone]


def test_without_a_mined_negative_and_where_none_is_asked_for_nothing_is_drawn() -> None:
    query, product_id = trained()
    told = [judged(query, product_id)]
    assert assemble(sources(told), SELECTION, generation="g1").negatives == ()
    none = SELECTION.model_copy(update={"random_negatives": 0})
    skipped = [judged(query, product_id, grade=0.2)]
    contents = assemble(sources(skipped, [negative(query, product_id)]), none, generation="g1")
    assert [it.difficulty for it in contents.negatives] == ["hard"]


@pytest.mark.parametrize(
    ("title", "is_kept"), [("{} new", False), ("new {} and quite another product of its own", True)]
)
def test_a_mined_negative_that_is_the_same_product_as_a_right_one_is_left_out(
    title: str, is_kept: bool
) -> None:
    query, product_id = trained()
    long = "light hiking backpack with rain cover and laptop sleeve"
    twin = title.format(long)
    known = sources([judged(query, "right", grade=2.8)], [negative(query, "twin")])
    entries = catalogue(right=long, twin=twin).entries()
    right, other = entries["right"], entries["twin"]
    key = known.entries[product_id].key  # of a product whose pairs lie in `train`
    entries = {"right": replace(right, key=key), "twin": replace(other, key=f"{key} twin")}
    contents = assemble(replace(known, entries=entries), SELECTION, generation="g1")
    assert ("twin" in {it.product_id for it in contents.negatives}) is is_kept
    assert contents.removed == ({} if is_kept else {Removed.NEGATIVE_JUDGED: 1})
