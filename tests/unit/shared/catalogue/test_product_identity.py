"""Which products are the same one: one answer for whoever asks."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue.product_identity import UNIDENTIFIED, ProductIdentity, same_products, title_of

GOLDEN = json.loads((Path(__file__).parents[3] / "data" / "text_forms.json").read_text())["products"]
WORDS = st.sampled_from(["red", "trail", "shoe", "shoes", "sock", "42", "crème", "brûlée", "torch", "the"])
NUMBERS = st.sampled_from(["4006381333931", "36000291452", "9780306406157", "12345678"])
TITLES = st.lists(WORDS, max_size=6).map(" ".join)


@st.composite
def identities(draw: st.DrawFn) -> ProductIdentity:
    fields = {"title": draw(TITLES), "gtin": draw(st.lists(NUMBERS, max_size=2))}
    return ProductIdentity.of(fields)


@pytest.mark.parametrize("sample", GOLDEN, ids=lambda sample: repr(sample["fields"]))
def test_a_key_never_changes(sample) -> None:
    """Products are held out by its hash, for ever."""
    assert ProductIdentity.of(sample["fields"]).key("p1") == sample["key"]


def test_accents_punctuation_and_case_make_no_other_product() -> None:
    one = ProductIdentity.of({"title": "Crème brûlée torch, 2-pack"})
    other = ProductIdentity.of({"title": "Creme brulee torch 2 pack"})
    assert one.is_same(other)
    assert one.key("a") == other.key("b")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Red Trail-Shoe, 42", "red trail shoe 42", True),
        ("Red shoes", "Shoe, red", True),
        ("The red shoe for men", "Men red shoe", True),
        ("Red trail shoe 42", "Red trail shoe 43", False),
        ("Belt without buckle", "Belt with buckle", False),
        ("", "", False),
        ("---", "!!!", False),
    ],
)
def test_titles_are_compared_by_their_words(one: str, other: str, same: bool) -> None:
    ours, theirs = (ProductIdentity.of({"title": title}) for title in (one, other))
    assert ours.has_title_of(theirs) is same


def test_titles_that_share_enough_words_are_the_same_from_the_overlap_on() -> None:
    one, other = (ProductIdentity.of({"title": f"one two three {last}"}) for last in ("four", "five"))
    assert one.has_title_of(other, 3 / 5)
    assert not one.has_title_of(other, 3 / 5 + 1e-9)


def test_a_trade_item_number_is_the_same_with_and_without_leading_zeros() -> None:
    short = ProductIdentity.of({"upc": "036000291452"})
    long = ProductIdentity.of({"gtin": ["00036000291452", "x"], "title": "Tissues"})
    number = ProductIdentity.of({"ean": 36000291452})
    assert short.has_code_of(long)
    assert short.has_code_of(number)
    assert short.key("a") == long.key("b") == number.key("c")


@given(NUMBERS, st.integers(0, 6), st.sampled_from(["-", " ", ".", ""]), st.integers(1, 7))
def test_zeros_before_and_separators_within_a_number_do_not_matter(number, zeros, separator, place) -> None:
    written = "0" * zeros + number[:place] + separator + number[place:]
    assert ProductIdentity.of({"gtin": number}).has_code_of(ProductIdentity.of({"ean": written}))


@pytest.mark.parametrize("value", ["0", "0000000000000", "1234567", "", None, "n/a", True, []])
def test_what_is_no_number_makes_no_two_products_the_same(value) -> None:
    assert not ProductIdentity.of({"gtin": value}).has_code_of(ProductIdentity.of({"ean": value}))


def test_products_of_which_nothing_is_known_are_not_the_same() -> None:
    assert not UNIDENTIFIED.is_same(UNIDENTIFIED)
    assert UNIDENTIFIED.key("p1") == "title p1"


def test_the_attributes_that_hold_title_and_numbers_can_be_chosen() -> None:
    fields = {"titel": "Roter Schuh", "artikel": "4006381333931", "title": "Red shoe", "gtin": "12345678"}
    chosen = ProductIdentity.of(fields, titles=("titel",), codes=("artikel",))
    assert chosen.words == {"roter", "schuh"}
    assert chosen.codes == {"4006381333931"}


def test_the_title_is_the_first_that_is_not_blank() -> None:
    assert title_of({"title": " ", "name": None, "product_title": ["", "Red shoe"]}) == "Red shoe"
    assert title_of({"colour": "red"}) == ""


@given(identities(), identities(), st.sampled_from([0.5, 0.75, 0.85, 1.0]))
def test_to_be_the_same_is_mutual(one, other, overlap) -> None:
    assert one.is_same(other, overlap) is other.is_same(one, overlap)


@given(identities())
def test_a_product_is_the_same_as_itself_when_anything_is_known_of_it(identity) -> None:
    assert identity.is_same(identity) is bool(identity.words or identity.codes)


@given(TITLES, TITLES)
def test_case_and_punctuation_change_no_answer(one, other) -> None:
    plain = ProductIdentity.of({"title": one}).is_same(ProductIdentity.of({"title": other}))
    loud = ProductIdentity.of({"title": one.upper().replace(" ", " - ")})
    assert loud.is_same(ProductIdentity.of({"title": f"«{other}»!"})) is plain


@given(
    st.dictionaries(st.sampled_from("abcdef"), identities(), max_size=6),
    st.dictionaries(st.sampled_from("uvwxyz"), identities(), max_size=6),
    st.sampled_from([0.5, 0.75, 0.85, 1.0]),
)
def test_a_set_against_a_set_finds_exactly_what_one_against_one_finds(left, right, overlap) -> None:
    wanted = {
        product_id
        for product_id, identity in left.items()
        if any(identity.is_same(other, overlap) for other in right.values())
    }
    assert same_products(left, right, overlap) == wanted
