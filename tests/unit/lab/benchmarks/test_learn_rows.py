"""The rows of `headrace bench learn`: each part of the loop beside the base and beside the row above."""

from pathlib import Path

import pytest
from rich.progress import Progress

from services.lab.benchmarks import learn
from services.lab.benchmarks.learn import BASE, EVERYDAY, IN_DOMAIN, NOVEL_QUERIES, Bench, FoldScores
from services.lab.benchmarks.training_ablation import watch
from services.lab.simulation import shop
from services.lab.simulation.catalogue import GradedCatalogue
from services.lab.simulation.traffic import Ranker

STEPS = ("MNRL on clicks", "+ Matryoshka")
QUERIES = [f"q{number}" for number in range(20)]


def scores(gain: dict[str, float]) -> learn.Scores:
    values: learn.Scores = {}
    for asked in (NOVEL_QUERIES, IN_DOMAIN, EVERYDAY):
        for name in (BASE, *STEPS):
            of_queries = {q: 0.4 + 0.01 * n + gain.get(name, 0.0) for n, q in enumerate(QUERIES)}
            learn._gather(values, [FoldScores(name, asked, of_queries)])
    return values


def test_every_part_has_a_row_on_every_set_beside_base_and_the_row_above() -> None:
    table = {row.name: row for row in learn._rows(scores({STEPS[0]: 0.01, STEPS[1]: 0.03}), STEPS)}
    assert len(table) == 9
    base = table[f"{BASE}, {NOVEL_QUERIES}"]
    assert (base.bound, base.note) == (None, "20 queries")
    first, second = (table[f"{name}, {NOVEL_QUERIES}"] for name in STEPS)
    assert first.value - (first.bound or 0) == pytest.approx(0.01)
    assert second.value - (second.bound or 0) == pytest.approx(0.03)
    assert "to base" in second.note
    assert "+0.0200" in second.note.partition("; ")[2], "the difference to the row above"
    assert second.note.endswith("to the row above")
    assert ";" not in first.note, "the row above is the base"


def test_an_interval_holds_the_difference() -> None:
    row = {row.name: row for row in learn._rows(scores({STEPS[0]: 0.02}), STEPS)}[f"{STEPS[0]}, {IN_DOMAIN}"]
    assert row.interval is not None
    low, high = row.interval
    assert low - 1e-9 <= row.value - (row.bound or 0) <= high + 1e-9


def test_shorter_and_coarser_vectors_are_held_against_the_whole_ones() -> None:
    values = scores({})
    for name, gain in {"+ Matryoshka, int8": -0.01, f"{BASE}, binary": -0.2}.items():
        of_queries = {q: 0.4 + 0.01 * n + gain for n, q in enumerate(QUERIES)}
        learn._gather(values, [FoldScores(name, NOVEL_QUERIES, of_queries)])
    table = {row.name: row for row in learn._rows(values, STEPS)}
    row = table[f"+ Matryoshka, int8, {NOVEL_QUERIES}"]
    assert row.value - (row.bound or 0) == pytest.approx(-0.01)
    assert "to + Matryoshka" in row.note
    assert table[f"{BASE}, binary, {NOVEL_QUERIES}"].value == pytest.approx(0.495 - 0.2)


def test_a_query_that_was_asked_in_several_folds_counts_by_its_mean() -> None:
    values: learn.Scores = {}
    learn._gather(values, [FoldScores("a", IN_DOMAIN, {"q": 0.2}), FoldScores("a", IN_DOMAIN, {"q": 0.6})])
    assert learn._means(values["a", IN_DOMAIN]) == {"q": pytest.approx(0.4)}


def test_sizes_and_precisions_are_named() -> None:
    names = [name for name, _ in learn._codes("base")]
    assert names[:3] == [f"base, {share} of the dimensions" for share in ("1/2", "1/3", "1/6")]
    assert names[3:] == ["base, int8", "base, int8 rescored", "base, binary", "base, binary rescored"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    whole = shop.sample(size=400, queries=12)
    catalogue = GradedCatalogue(whole.products, whole.queries, whole.grades)
    return Bench(catalogue, 3, 1, Progress(disable=True), Path(tmp_path_factory.mktemp("work")))


def test_each_query_is_novel_once(bench: Bench) -> None:
    novel = [bench._novel(fold) for fold in range(bench.folds)]
    assert sorted(text for fold in novel for text in fold) == bench._texts()


def test_what_is_judged_was_never_learned_from(bench: Bench) -> None:
    shoppers = watch(bench.catalogue, 400, seed=1, ranker=Ranker.blurred(bench.catalogue, seed=1))
    for fold in range(bench.folds):
        novel, known = bench._evaluation_sets(shoppers, fold)
        assert set(novel.grades) == bench._novel(fold)
        assert not set(known.grades) & bench._novel(fold)
        for query, row in known.grades.items():
            taught = {
                key.product_id
                for key in shoppers.counts
                if shoppers.texts[key.query] == query
                and not learn.training_ablation.is_held_out(query, key.product_id)
            }
            assert not taught & row.keys()


def test_the_parts_come_one_after_the_other_each_with_those_before_it(bench: Bench) -> None:
    shoppers = watch(bench.catalogue, 400, seed=1, ranker=Ranker.blurred(bench.catalogue, seed=1))
    steps = learn._steps(shoppers, {}, seed=7)
    assert [step.name for step in steps] == [
        "MNRL on clicks",
        "+ judgement weights",
        "+ bias correction",
        "+ mined negatives",
        "+ Matryoshka",
    ]
    assert all(step.recipe.seed == 7 for step in steps)
    assert (
        len(
            {
                (id(step.supervision.values), repr(step.recipe), id(step.supervision.negatives))
                for step in steps
            }
        )
        == 5
    )
    assert steps[4].recipe.prefixes != steps[3].recipe.prefixes
