"""What is nearly the same, and what decides on which side it lies."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.domain.canonical import canonical, words_of
from services.trainer.domain.catalogue import Catalogue
from services.trainer.domain.near_duplicates import jaccard, similar
from services.trainer.domain.selection import Selection
from services.trainer.domain.split import Splitter
from tests.unit.trainer.data.worlds import change

SETS = st.dictionaries(
    st.integers(0, 20), st.frozensets(st.sampled_from("abcdefghij"), max_size=8), max_size=8
)


@given(SETS, SETS, st.sampled_from([0.5, 0.6, 2 / 3, 0.75, 0.8, 0.85, 1.0]))
def test_the_join_finds_exactly_what_comparing_all_with_all_finds(left, right, threshold) -> None:
    wanted = {
        key for key, ours in left.items() if any(jaccard(ours, it) >= threshold for it in right.values())
    }
    assert similar(left, right, threshold) == wanted


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("red shoes for men", "Men red shoe"),
        ("the batteries", "battery"),
        ("Café  Crème", "cafe creme"),
        ("boxes", "box"),
        ("t-shirt", "shirt t"),
        ("for the", "the for"),
    ],
)
def test_plainly_the_same(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"), [("belt without buckle", "belt with buckle"), ("glass", "glasses frame"), ("gas", "ga")]
)
def test_plainly_not_the_same(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@given(st.text(max_size=12))
def test_the_canonical_form_of_a_canonical_form_is_itself(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)
    assert words_of(" ".join(words_of(text))) == words_of(text)


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_words_does_not_matter(words: list[str], rng: Random) -> None:
    shuffled = [*words, words[0]]
    rng.shuffle(shuffled)
    assert canonical(" ".join(words)) == canonical(" ".join(shuffled))


def test_shares_are_what_they_are_set_to() -> None:
    splitter = Splitter(Selection())
    sides = [splitter.side_of_query(f"query {number}") for number in range(5000)]
    assert sides.count("held_out") / 5000 == pytest.approx(0.2, abs=0.03)
    assert sides.count("validation") / 5000 == pytest.approx(0.1, abs=0.03)


def test_a_title_that_is_rewritten_does_not_move_its_product() -> None:
    found = Catalogue(["p1"], Selection(), seed=0)
    found.take(change("p1", version=1, title="Red shoe"))
    first = found.listings()["p1"].key
    found.take(change("p1", version=2, title="Crimson sneaker"))
    assert found.listings()["p1"].key == first == "title red shoe"


def test_variants_and_equal_numbers_have_one_key() -> None:
    found = Catalogue("abcd", Selection(), seed=0)
    found.take(change("a", title="Red shoes"))
    found.take(change("b", title="Shoe, red"))
    found.take(change("c", title="Boot", gtin="00012345678905"))
    found.take(change("d", title="Stiefel", ean=["0012345678905"]))
    keys = {name: it.key for name, it in found.listings().items()}
    assert keys["a"] == keys["b"]
    assert keys["c"] == keys["d"]


@given(st.permutations(range(30)), st.integers(0, 3))
def test_the_sample_does_not_depend_on_the_order(order: list[int], seed: int) -> None:
    selection = Selection(corpus=5)
    sampled = []
    for numbers in (range(30), order):
        found = Catalogue(["3"], selection, seed=seed)
        for number in (*numbers, *numbers):
            found.take(change(str(number), title=f"thing {number}"))
        sampled.append(set(found.listings()))
    assert sampled[0] == sampled[1]
    assert "3" in sampled[0]
    assert len(sampled[0]) == 6


def test_products_that_are_gone_are_not_listed() -> None:
    found = Catalogue(["p1", "p2"], Selection(), seed=0)
    found.take(change("p1", title="Red shoe"))
    found.take(change("p1", version=2).model_copy(update={"op": "delete", "fields": {}}))
    found.take(change("p2", color="red"))
    assert found.listings() == {}
