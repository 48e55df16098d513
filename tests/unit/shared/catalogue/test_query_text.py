import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue.query_text import MAX_CHARACTERS, normalise


@given(st.text(max_size=700))
def test_normalising_twice_is_normalising_once(text):
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(max_size=700))
def test_a_normal_query_is_short_and_has_no_tab_or_control_character(text):
    once = normalise(text)
    assert len(once) <= MAX_CHARACTERS
    assert not set(once) & set("\t\n\r\0")
    assert once == once.strip()


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=100))
def test_the_fast_path_for_ascii_agrees_with_the_long_one(text):
    assert normalise(text) == normalise(text + "é").removesuffix("é").rstrip()


@pytest.mark.parametrize(
    ("theirs", "normal"),
    [
        ("  USB-C   Charger\t", "usb-c charger"),
        ("Straße", "strasse"),
        ("ﬁlter ２０", "filter 20"),
        ("Cafe\u0301", "café"),
        ("red\u200bshoes", "red shoes"),
        ("", ""),
        (" \u3000\n", ""),
    ],
)
def test_shoppers_who_mean_the_same_are_one_query(theirs, normal):
    assert normalise(theirs) == normal
