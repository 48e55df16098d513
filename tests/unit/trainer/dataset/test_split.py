"""What decides on which side a query or a product lies."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.trainer.dataset.domain.catalogue import TrainingCatalogue
from services.trainer.dataset.domain.selection import DatasetSelection
from services.trainer.dataset.domain.split import Splitter
from services.trainer.evaluation.domain.verdict import AdmissionTerms
from shared.catalogue.words import canonical
from tests.unit.trainer.dataset.worlds import change

GOLDEN = json.loads((Path(__file__).parents[3] / "data" / "text_forms.json").read_text())


def test_a_side_never_changes() -> None:
    """What is held out stays so as data grow: a model trained before has not seen it."""
    splitter = Splitter(DatasetSelection())
    sides = {sample["text"]: splitter.side_of_query(canonical(sample["text"])) for sample in GOLDEN["texts"]}
    assert sides == {sample["text"]: sample["side"] for sample in GOLDEN["texts"]}
    held_out = [splitter.product_is_held_out(sample["key"]) for sample in GOLDEN["products"]]
    assert held_out == [sample["held_out"] for sample in GOLDEN["products"]]
    splits = [splitter.split(canonical(sample["query"]), sample["key"]) for sample in GOLDEN["pairs"]]
    assert splits == [sample["split"] for sample in GOLDEN["pairs"]]


def test_shares_are_what_they_are_set_to() -> None:
    splitter = Splitter(DatasetSelection())
    sides = [splitter.side_of_query(f"query {number}") for number in range(5000)]
    assert sides.count("held_out") / 5000 == pytest.approx(0.2, abs=0.03)
    assert sides.count("validation") / 5000 == pytest.approx(0.1, abs=0.03)


def sides(splitter: Splitter, forms: list[str]) -> dict[str, str]:
    return {form: splitter.side_of_query(form) for form in forms}


@pytest.mark.parametrize(("queries", "share"), [(100, 0.97), (150, 1.0)])
def test_a_log_of_a_hundred_queries_has_as_many_to_judge_by_as_the_gate_wants(
    queries: int, share: float
) -> None:
    enough = []
    for first in range(0, 100 * queries, queries):
        forms = [f"query {number}" for number in range(first, first + queries)]
        kept = sides(Splitter(DatasetSelection()).holding_out(forms), forms)
        enough.append([*kept.values()].count("held_out") >= AdmissionTerms().least)
    assert sum(enough) / len(enough) >= share


@given(st.sets(st.integers(0, 400)), st.sets(st.integers(0, 400)), st.integers(0, 30))
def test_what_may_be_learned_from_does_not_depend_on_the_log(
    one: set[int], other: set[int], wanted: int
) -> None:
    selection = DatasetSelection(novel_queries=wanted)
    forms = [f"query {number}" for number in range(400)]
    learned = [
        {form for form in forms if Splitter(selection).holding_out(log).side_of_query(form) == "known"}
        for log in ([f"query {number}" for number in numbers] for numbers in (one, other))
    ]
    assert (
        learned[0]
        == learned[1]
        == {form for form, side in sides(Splitter(selection), forms).items() if side == "known"}
    )


@given(st.sets(st.integers(0, 400)), st.integers(0, 30))
def test_no_more_is_held_out_than_is_wanted_or_the_share_says(log: set[int], wanted: int) -> None:
    forms = [f"query {number}" for number in log]
    selection = DatasetSelection(novel_queries=wanted)
    by_share, kept = (
        [*sides(splitter, forms).values()].count("held_out")
        for splitter in (Splitter(selection), Splitter(selection).holding_out(forms))
    )
    assert by_share <= kept <= max(by_share, wanted)
    validation = [*sides(Splitter(selection), forms).values()].count("validation")
    assert kept == (max(by_share, wanted) if by_share + validation >= wanted else by_share)


def test_a_title_that_is_rewritten_does_not_move_its_product() -> None:
    found = TrainingCatalogue(["p1"], DatasetSelection(), seed=0)
    found.take(change("p1", version=1, title="Red shoe"))
    first = found.entries()["p1"].key
    found.take(change("p1", version=2, title="Crimson sneaker"))
    assert found.entries()["p1"].key == first == "title red shoe"


def test_variants_and_equal_numbers_have_one_key() -> None:
    found = TrainingCatalogue("abcd", DatasetSelection(), seed=0)
    found.take(change("a", title="Red shoes"))
    found.take(change("b", title="Shoe, red"))
    found.take(change("c", title="Boot", gtin="00012345678905"))
    found.take(change("d", title="Stiefel", ean=["0012345678905"]))
    keys = {name: it.key for name, it in found.entries().items()}
    assert keys["a"] == keys["b"]
    assert keys["c"] == keys["d"]


@given(st.permutations(range(30)), st.integers(0, 3))
def test_the_sample_does_not_depend_on_the_order(order: list[int], seed: int) -> None:
    selection = DatasetSelection(corpus=5)
    sampled = []
    for numbers in (range(30), order):
        found = TrainingCatalogue(["3"], selection, seed=seed)
        for number in (*numbers, *numbers):
            found.take(change(str(number), title=f"thing {number}"))
        sampled.append(set(found.entries()))
    assert sampled[0] == sampled[1]
    assert "3" in sampled[0]
    assert len(sampled[0]) == 6


def test_products_that_are_gone_are_not_listed() -> None:
    found = TrainingCatalogue(["p1", "p2"], DatasetSelection(), seed=0)
    found.take(change("p1", title="Red shoe"))
    found.take(replace(change("p1", version=2), op="delete", fields={}))
    found.take(change("p2", color="red"))
    assert found.entries() == {}
