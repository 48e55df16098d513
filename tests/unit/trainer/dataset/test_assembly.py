"""From what was read to a data set."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.control import OffsetRange
from schemas.judgements import Negative
from services.trainer.dataset.build import DatasetInputs, dataset_of, differences
from services.trainer.dataset.domain.assembly import KNOWN_QUERY, assemble
from services.trainer.dataset.domain.cleaning import Removed, TrainingJudgement
from services.trainer.dataset.domain.leakage import leaks
from services.trainer.dataset.domain.selection import DatasetSelection
from services.trainer.dataset.domain.split import Splitter
from services.trainer.dataset.files import read, write
from shared.catalogue.words import canonical
from tests.unit.trainer.dataset.worlds import (
    PRODUCTS,
    QUERIES,
    SELECTION,
    START,
    judged,
    negative,
    shops,
    sources,
)

Shop = tuple[list[TrainingJudgement], list[Negative]]
INPUTS = DatasetInputs(
    ranges=(OffsetRange(topic="search.judgements.v1", partition=0, start=0, end=9),),
    selection=SELECTION,
    generation="g1",
)


@given(shops(), st.randoms(use_true_random=False))
def test_neither_order_nor_repeats_change_a_data_set(shop: Shop, rng: Random) -> None:
    pairs, negatives = shop
    again, more = pairs * 2, negatives * 2
    rng.shuffle(again)
    rng.shuffle(more)
    assert dataset_of(sources(pairs, negatives), INPUTS) == dataset_of(sources(again, more), INPUTS)


@given(shops())
def test_nothing_that_is_held_out_is_learned_from(shop: Shop) -> None:
    assert leaks(assemble(sources(*shop), SELECTION, generation="g1").leakage) == []


@given(shops(), shops())
def test_what_is_held_out_stays_so_as_data_grow(first: Shop, more: Shop) -> None:
    by_share = SELECTION.model_copy(update={"novel_queries": 0})
    grown = [*first[0], *more[0]]
    before = assemble(sources(first[0]), by_share, generation="g1")
    after = assemble(sources(grown), by_share, generation="g1")
    splits = {(it.query, it.product_id): it.split for it in before.pairs if not it.augmented}
    now = {(it.query, it.product_id): it.split for it in after.pairs if not it.augmented}
    assert all(now[pair] == split for pair, split in splits.items() if pair in now)


@given(shops(), shops(), st.integers(0, 12))
def test_what_no_model_may_learn_from_stays_so_however_few_queries_a_log_has(
    first: Shop, more: Shop, wanted: int
) -> None:
    selection = SELECTION.model_copy(update={"novel_queries": wanted})
    grown = [*first[0], *more[0]]
    small, large = (assemble(sources(log), selection, generation="g1") for log in (first[0], grown))
    learned, judged_by = (
        {pair.query for pair in contents.pairs if (pair.split in KNOWN_QUERY) is known}
        for contents, known in ((small, True), (large, False))
    )
    assert learned.isdisjoint(judged_by)
    assert leaks(small.leakage) == leaks(large.leakage) == []


@settings(max_examples=20)
@given(shops())
def test_it_is_built_again_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> None:
    directory = tmp_path_factory.mktemp("again")
    manifest = write(dataset_of(sources(*shop), INPUTS, name="one"), directory / "one")
    again = DatasetInputs.of(read(directory / "one").manifest, code_version="")
    assert again == INPUTS
    assert (
        differences(manifest, write(dataset_of(sources(*shop), again, name="two"), directory / "two")) == []
    )


def test_a_difference_says_why(tmp_path) -> None:
    whole = replace(sources([judged(query, "p1") for query in QUERIES]), records={"search.judgements.v1": 9})
    part = replace(whole, judged=whole.judged[:-3], records={"search.judgements.v1": 6})
    one, two = (
        write(dataset_of(it, INPUTS, name=name), tmp_path / name) for it, name in ((whole, "a"), (part, "b"))
    )
    assert differences(one, two) == [
        "pairs.jsonl differs: 3 messages of search.judgements.v1 are compacted away"
    ]
    assert "the code is another" in differences(two.model_copy(update={"records": {}}), one)[0]


@given(shops())
def test_every_pair_is_kept_or_accounted_for(shop: Shop) -> None:
    pairs, _ = shop
    found = assemble(sources(pairs), SELECTION, generation="g1")
    of_pairs = sum(number for name, number in found.removed.items() if name.startswith("pair_"))
    refused = {name: number for name, number in found.removed.items() if name.startswith("query_")}
    kept = {it.query for it in pairs} - {it.query for it in found.pairs}
    assert sum(refused.values()) <= len(kept)
    assert len(found.pairs) + of_pairs <= len(pairs)
    if not refused:
        assert len(found.pairs) + of_pairs == len(pairs)


def test_late_is_what_was_first_seen_at_last() -> None:
    told = [
        judged(query, "p1", first_seen=START + timedelta(hours=hour)) for hour, query in enumerate(QUERIES)
    ]
    found = assemble(sources(told), SELECTION.model_copy(update={"late": 0.5}), generation="g1")
    seen = {it.query: it.first_seen for it in told}
    assert found.late_after is not None
    assert {it.late for it in found.pairs if not it.augmented} == {True, False}
    assert all(it.late == (seen[it.query] > found.late_after) for it in found.pairs if not it.augmented)


def trained(selection: DatasetSelection = SELECTION) -> tuple[str, str]:
    """Return a query and a product that lie in `train`."""
    pairs = [judged(query, name) for query in QUERIES for name in PRODUCTS]
    found = assemble(sources(pairs, selection=selection), selection, generation="g1")
    return next((it.query, it.product_id) for it in found.pairs if it.split == "train" and not it.augmented)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({}, Removed.NEGATIVE_JUDGED),
        ({"generation": "g2"}, Removed.NEGATIVE_GENERATION),
        ({"query": "a query that nobody asked"}, Removed.NEGATIVE_QUERY),
        ({"product_id": "gone"}, Removed.NEGATIVE_PRODUCT),
    ],
)
def test_a_negative_that_may_not_be_learned_from_is_left_out(other: dict[str, str], reason: Removed) -> None:
    query, product_id = trained()
    mined = negative(query, product_id).model_copy(update=other)
    found = assemble(sources([judged(query, product_id)], [mined]), SELECTION, generation="g1")
    assert (found.negatives, found.removed) == ((), {reason: 1})


def test_a_product_that_shoppers_skip_is_a_good_negative() -> None:
    query, product_id = trained()
    told = [judged(query, product_id, grade=0.2)]
    found = assemble(sources(told, [negative(query, product_id)]), SELECTION, generation="g1")
    mined = [it for it in found.negatives if it.difficulty != "random"]
    assert [(it.query, it.product_id) for it in mined] == [(query, product_id)]


def test_a_held_out_product_is_no_negative() -> None:
    query, product_id = trained()
    known = sources([judged(query, product_id)])
    out = next(name for name, it in known.entries.items() if Splitter(SELECTION).product_is_held_out(it.key))
    found = assemble(replace(known, negatives=[negative(query, out)]), SELECTION, generation="g1")
    assert found.removed == {Removed.NEGATIVE_PRODUCT: 1}


def test_a_prefix_makes_one_more_training_query() -> None:
    prefixed = SELECTION.model_copy(update={"prefixes": ("brand",)})
    pairs = [judged(query, name) for query in QUERIES for name in PRODUCTS]
    without = assemble(sources(pairs), SELECTION, generation="g1")
    found = assemble(sources(pairs, selection=prefixed), prefixed, generation="g1")
    made_up = [it for it in found.pairs if it.augmented]
    assert not [it for it in without.pairs if it.augmented]
    assert made_up
    assert all(it.split == "train" and it.query.startswith("acme: ") for it in made_up)
    assert {canonical(it.query) for it in made_up}.isdisjoint(canonical(it.query) for it in without.pairs)
    assert leaks(found.leakage) == []


@settings(max_examples=20)
@given(st.text(max_size=8), st.integers(0, 2**32))
def test_the_seed_moves_the_sample_and_nothing_else(salt: str, seed: int) -> None:
    pairs = [judged(query, name) for query in QUERIES[:4] for name in PRODUCTS]
    one, other = (dataset_of(sources(pairs), replace(INPUTS, seed=each)) for each in (0, seed))
    assert one.pairs == other.pairs


@given(shops())
def test_everything_that_was_shown_for_a_query_is_in_a_pair_or_named_as_shown(shop: Shop) -> None:
    contents = assemble(sources(*shop), SELECTION, generation="g1")
    paired = {(pair.query, pair.product_id) for pair in contents.pairs if not pair.augmented}
    also_shown = {(row.query, product_id) for row in contents.shown for product_id in row.product_ids}
    queries = {query for query, _ in paired}
    assert paired.isdisjoint(also_shown)
    assert paired | also_shown == {(it.query, it.product_id) for it in shop[0] if it.query in queries}
    assert all(row.product_ids for row in contents.shown)


def test_what_was_looked_at_too_little_to_be_graded_was_shown_all_the_same() -> None:
    query = QUERIES[0]
    shop = [judged(query, "p1"), judged(query, "p2", actions=0, expected=0.1)]
    contents = assemble(sources(shop), SELECTION, generation="g1")
    assert [pair.product_id for pair in contents.pairs] == ["p1"]
    assert [(row.query, row.product_ids) for row in contents.shown] == [(query, ("p2",))]
    assert contents.removed == {Removed.NO_EVIDENCE: 1}
