import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.encoder.passages import Cut, PassageCutter

TEXTS = st.text(st.characters(codec="utf-8"), max_size=300) | st.lists(
    st.sampled_from(
        ["word", "supercalifragilistic", "ä", "漢字漢字。", "A-1", "end.", "\n", "หูฟังไร้สาย", "one;"]
    ),
    max_size=80,
).map(" ".join)
CUTS = st.tuples(st.integers(1, 20), st.integers(0, 19), st.integers(1, 6)).filter(lambda c: c[1] < c[0])


def count(texts: Sequence[str]) -> list[int]:
    """Count as a tokenizer does: up to five ASCII letters a token, other letters one each."""
    return [len(re.findall(r"[A-Za-z0-9]{1,5}|[^\sA-Za-z0-9]", text)) for text in texts]


def cutter(size: int, overlap: int = 0, most: int = 10_000, *, longest: int = 1000) -> PassageCutter:
    return PassageCutter(Cut(size=size, overlap=overlap, most=most), count, longest=longest)


def pieces(text: str, cut: PassageCutter) -> list[str]:
    return [text[start:end] for start, end in cut(text).spans]


@given(TEXTS, CUTS)
def test_passages_cover_all_that_is_no_blank_in_order_up_to_the_limit(
    text: str, how: tuple[int, int, int]
) -> None:
    size, overlap, most = how
    passages = cutter(size, overlap)(text)
    covered = {place for start, end in passages.spans for place in range(start, end)}
    assert {place for place, letter in enumerate(text) if not letter.isspace()} <= covered
    assert passages.left_out == 0
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(passages.spans))
    limited = cutter(size, overlap, most)(text)
    assert limited.spans == passages.spans[:most]
    assert limited.left_out == (passages.spans[-1][1] - limited.spans[-1][1] if limited.spans else 0)


@given(TEXTS, CUTS)
def test_no_text_that_is_embedded_is_longer_than_the_model_reads(
    text: str, how: tuple[int, int, int]
) -> None:
    size, overlap, _ = how
    for embedded in cutter(20, overlap, longest=size)(text).texts(text):
        assert count([embedded])[0] <= size or len(embedded) == 1


def test_a_text_that_fits_is_one_passage_without_its_margins_and_is_not_tokenised() -> None:
    def refuse(texts: Sequence[str]) -> list[int]:
        raise AssertionError(texts)

    cut = PassageCutter(Cut(size=20, overlap=5, most=4), refuse, longest=20)
    assert cut("  a red lamp \n").spans == ((2, 12),)
    assert cut(" \n\t").spans == cut("").spans == ()


def test_a_text_is_cut_once_however_often_it_is_asked_about() -> None:
    counted: list[Sequence[str]] = []

    def counting(texts: Sequence[str]) -> list[int]:
        counted.append(texts)
        return count(texts)

    cut = PassageCutter(Cut(size=5, overlap=0, most=4), counting, longest=20)
    first = cut("one two three four. five six seven.")
    calls = len(counted)
    assert cut("one two three four. five six seven.") is first
    assert len(counted) == calls


def test_a_passage_ends_with_a_sentence_and_with_a_paragraph_where_one_is_near() -> None:
    text = "Title of it\nOne is. Two is.\nThree is. Four is."
    assert pieces(text, cutter(10)) == ["Title of it\nOne is. Two is.", "Three is. Four is."]
    assert pieces(text, cutter(8)) == ["Title of it\nOne is.", "Two is.\nThree is.", "Four is."]
    assert pieces("One is. Two is. Three is.", cutter(7)) == ["One is. Two is.", "Three is."]


def test_the_first_line_stands_before_every_further_passage() -> None:
    text = "Red sock\nIt is very warm. It is very soft. It is very dry."
    passages = cutter(12)(text)
    assert passages.title == "Red sock"
    assert passages.texts(text) == [
        "Red sock\nIt is very warm. It is very soft.",
        "Red sock\nIt is very dry.",
    ]
    assert cutter(5)(text).title == ""


def test_neighbours_share_the_last_sentences_of_a_paragraph() -> None:
    text = "One is. Two is. Three is. Four is."
    assert pieces(text, cutter(9, 3)) == ["One is. Two is. Three is.", "Three is. Four is."]


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("無線です。黒い!軽い", 5, ["無線です。", "黒い!軽い"]),
        ("hot, red; and, blue", 5, ["hot, red;", "and, blue"]),
        ("หูฟังไร้สาย", 6, None),
        ("x" * 60, 4, ["x" * 15] * 4),
    ],
)
def test_what_has_no_blanks_or_sentences_is_divided_at_clauses_and_letters(
    text: str, size: int, expected: list[str] | None
) -> None:
    parts = pieces(text, cutter(size))
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert expected is None or parts == expected


def test_what_was_too_many_is_said() -> None:
    passages = cutter(4, most=2)("One is. Two is. Three is. Four is.")
    assert (len(passages.spans), passages.left_out) == (2, len(" Three is. Four is."))


@pytest.mark.parametrize(("size", "overlap", "most"), [(5, 5, 1), (5, -1, 1), (5, 1, 0)])
def test_a_senseless_cut_is_refused(size: int, overlap: int, most: int) -> None:
    with pytest.raises(ValueError, match="passage"):
        Cut(size=size, overlap=overlap, most=most)
