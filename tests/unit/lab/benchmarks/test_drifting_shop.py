"""A shop that drifts as it is told: what is asked, what is found and what shoppers do in each scenario."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lab.benchmarks import drifting_world
from services.lab.benchmarks.drifting_shop import SCENARIOS, WEEK, Shop
from services.lab.benchmarks.drifting_world import (
    AS_EVER,
    LINE,
    NEW_BRAND,
    PRODUCTS,
    TOP,
    TOPICS,
    TextBlocks,
    World,
    most_named_brand,
    names_brand,
    with_new_brand,
)
from services.monitor.drift.domain.tally import words_of

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def tallies(
    world: World, name: str | None = None, *, progress: float = 1.0, seed: int = 3, windows: int = 12
):
    made = Shop(world, seed)
    scenario = BY_NAME[name] if name else None
    return [made.tally(WEEK + 8 + hour, scenario, progress)[0] for hour in range(windows)]


def total(tallied, name: str) -> int:
    return sum(tally.counts[name] for tally in tallied)


@given(st.lists(st.lists(st.text(max_size=3), max_size=4), max_size=5))
def test_each_block_of_texts_knows_the_rows_of_its_own(blocks: list[list[str]]) -> None:
    together = TextBlocks()
    rows = [together.add(block) for block in blocks]
    assert [[together.texts[row] for row in of_block] for of_block in rows] == blocks
    assert sorted(row for of_block in rows for row in of_block) == list(range(len(together.texts)))


def test_the_brand_is_the_one_that_is_named_most() -> None:
    texts = ["acme lamp", "ACME sofa", "other lamp", "box box box box"]
    assert most_named_brand(texts, ["Acme", "Other", "Box"]) == "acme"
    assert most_named_brand(texts, []) == ""


@given(st.text(max_size=20))
def test_where_no_brand_is_named_nothing_is_renamed(text: str) -> None:
    assert not names_brand(text, "")
    assert with_new_brand(text, "") == text
    assert NEW_BRAND in with_new_brand(f"{text} Acme", "acme")


def test_texts_of_every_scenario_lie_in_one_table(world: World, sale) -> None:
    count = len(world.usual)
    assert count == len(sale.queries) + drifting_world.FRAGMENTS
    assert len(world.line) == LINE
    assert len(world.renamed) == len(world.spanish) == len(world.topics) == len(world.popularity) == count
    assert len(world.texts) == len(world.words) == 3 * count + LINE
    assert all(len(table.features) == len(world.texts) for table in world.tables.values())
    assert world.tables[AS_EVER].similar.shape == (len(world.texts), TOP)
    assert set(world.topics.tolist()) <= set(range(TOPICS))
    assert world.popularity.sum() == pytest.approx(1)


def test_a_renamed_text_is_its_own_with_the_new_name_and_others_are_themselves(world: World) -> None:
    assert world.brand
    renamed = world.renamed != world.usual
    assert 0 < renamed.sum() < len(world.usual)
    for row, other in zip(world.usual[renamed], world.renamed[renamed], strict=True):
        assert world.texts[other] == world.texts[row].casefold().replace(world.brand, NEW_BRAND)
    assert not [row for row in world.usual[~renamed] if world.brand in world.texts[row].casefold()]


def test_a_translation_belongs_to_its_text(world: World) -> None:
    for row, other in zip(world.usual[:50], world.spanish[:50], strict=True):
        assert world.texts[other] == drifting_world.translated(world.texts[row])


def test_the_best_hits_come_first_and_a_tenth_of_the_usual_answers_is_weak(world: World) -> None:
    similar = world.tables[AS_EVER].similar
    assert (np.diff(similar, axis=1) <= 0).all()
    assert (similar[world.usual, 0] < world.weak).mean() == pytest.approx(0.1, abs=0.01)


def test_a_broken_encoder_finds_less_and_a_new_line_more_of_what_it_sells(world: World) -> None:
    best = {name: table.similar[world.usual, 0].mean() for name, table in world.tables.items()}
    assert best["broken encoder: noise"] < best[AS_EVER]
    assert best["broken encoder: permuted"] < best[AS_EVER]
    line = {name: world.tables[name].similar[world.line, 0].mean() for name in (AS_EVER, "new product line")}
    assert line["new product line"] > line[AS_EVER]


def test_the_same_seed_makes_the_same_windows(world: World) -> None:
    first, second, other = (tallies(world, seed=seed, windows=2) for seed in (3, 3, 4))
    assert [tally.counts for tally in first] == [tally.counts for tally in second]
    assert [tally.queries for tally in first] == [tally.queries for tally in second]
    assert [tally.counts for tally in first] != [tally.counts for tally in other]


def test_the_counts_of_a_window_agree_with_each_other(world: World) -> None:
    for tally in tallies(world):
        counts = tally.counts
        assert counts["answers"] == counts["vectors"] == counts["scored"]
        assert counts["shown"] == 10 * counts["answers"]
        assert counts["purchase"] <= counts["add_to_cart"] <= counts["click"] <= counts["shown"]
        assert counts["empty"] <= counts["answers"]
        assert counts["weak"] <= counts["scored"]


def test_a_night_is_quieter_than_a_day(world: World) -> None:
    made = Shop(world, 3)
    night, day = (sum(made.tally(WEEK * week + hour)[1] for week in range(9)) for hour in (3, 13))
    assert night < day / 2


@pytest.mark.parametrize("name", [name for name in BY_NAME if name.startswith("broken encoder")])
def test_a_broken_encoder_halves_the_clicks_and_the_canaries(world: World, name: str) -> None:
    usual, broken = tallies(world), tallies(world, name)
    assert total(broken, "click") < 0.7 * total(usual, "click")
    assert total(broken, "canaries_found") < 0.6 * total(usual, "canaries_found")


@pytest.mark.parametrize("name", ["new product line", "renamed brand", "query language", "campaign"])
def test_a_drift_changes_what_is_asked_and_not_what_is_recalled(world: World, name: str) -> None:
    usual, drifted = tallies(world), tallies(world, name)
    assert [tally.queries for tally in drifted] != [tally.queries for tally in usual]
    assert total(drifted, "recalled") == pytest.approx(total(usual, "recalled"), rel=0.02)


def test_a_renamed_brand_brings_its_new_name_in_step_with_its_progress(world: World) -> None:
    def named(progress: float) -> int:
        words = Counter[str]()
        for tally in tallies(world, "renamed brand", progress=progress):
            words.update(tally.words)
        return words[NEW_BRAND]

    assert named(0.0) == 0
    assert 0 < named(0.3) < named(1.0)


def test_nothing_has_changed_before_a_scenario_begins(world: World) -> None:
    for name in BY_NAME:
        before = tallies(world, name, progress=0.0, windows=1)[0]
        assert before.counts == tallies(world, windows=1)[0].counts, name


def test_only_what_has_drifted_has_examples(world: World) -> None:
    assert tallies(world, windows=1)[0].query_examples == ()
    assert tallies(world, "query language", windows=1)[0].query_examples


def test_a_new_line_is_sold_only_when_it_has_come(world: World) -> None:
    made = Shop(world, 3)
    sold = {title for _ in range(30) for title in made._documents(np.ones(TOPICS), AS_EVER, 0.0)[1]}
    assert sold <= set(world.titles[:PRODUCTS])
    drifted = {t for _ in range(30) for t in made._documents(np.ones(TOPICS), "new product line", 1.0)[1]}
    assert drifted & set(world.titles[PRODUCTS:])


def test_words_are_those_of_the_text(world: World) -> None:
    assert all(world.words[row] == tuple(words_of(world.texts[row])) for row in world.usual[:20])
