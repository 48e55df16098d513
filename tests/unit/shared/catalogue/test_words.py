"""When two texts are plainly the same, and that this is decided for ever."""

import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue.query_text import normalise
from shared.catalogue.words import canonical, fold, trigrams, words_of

GOLDEN = json.loads((Path(__file__).parents[3] / "data" / "text_forms.json").read_text())["texts"]


@pytest.mark.parametrize("sample", GOLDEN, ids=lambda sample: repr(sample["text"][:20]))
def test_a_form_never_changes(sample: dict[str, str]) -> None:
    assert canonical(sample["text"]) == sample["canonical"], "splits of data sets hash it"
    assert normalise(sample["text"]) == sample["normal"], "judgements are partitioned by it"
    assert len(trigrams(canonical(sample["text"]))) == sample["trigrams"]


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


@given(st.text(max_size=12), st.booleans())
def test_folding_twice_is_folding_once(text: str, keep_accents: bool) -> None:
    folded = fold(text, keep_accents=keep_accents)
    assert fold(folded, keep_accents=keep_accents) == folded


@given(st.text(st.characters(max_codepoint=127), max_size=20))
def test_the_fast_path_for_ascii_words_agrees_with_the_long_one(text: str) -> None:
    assert words_of(text) == words_of(text + " é")[:-1]


@given(st.text(max_size=20))
def test_accents_and_case_do_not_matter_to_words(text: str) -> None:
    assert words_of(fold(text, keep_accents=False)) == words_of(text)


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_words_does_not_matter(words: list[str], rng: Random) -> None:
    shuffled = [*words, words[0]]
    rng.shuffle(shuffled)
    assert canonical(" ".join(words)) == canonical(" ".join(shuffled))
