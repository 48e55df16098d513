from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.encoder.passages import _PIECE, Cut, cut

TEXTS = st.text(st.characters(codec="utf-8"), max_size=400) | st.lists(
    st.sampled_from(["word", "supercalifragilistic", "ä", "漢字漢字", "A-1", "\n"]), max_size=80
).map(" ".join)
CUTS = st.tuples(st.integers(1, 20), st.integers(0, 19), st.integers(1, 6)).filter(lambda c: c[1] < c[0])


@given(TEXTS, CUTS)
def test_passages_cover_every_piece_in_order_up_to_the_limit(text: str, how: tuple[int, int, int]) -> None:
    size, overlap, _ = how
    passages = cut(text, Cut(size=size, overlap=overlap, most=10_000))
    pieces = [match.span() for match in _PIECE.finditer(text)]
    assert bool(passages) == bool(pieces)
    for start, end in pieces:
        assert any(first <= start and end <= last for first, last in passages)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(passages))


@given(TEXTS, CUTS)
def test_no_passage_is_longer_than_asked_and_there_are_not_too_many(
    text: str, how: tuple[int, int, int]
) -> None:
    size, overlap, most = how
    passages = cut(text, Cut(size=size, overlap=overlap, most=most))
    assert len(passages) <= most
    assert all(len(_PIECE.findall(text[start:end])) <= size for start, end in passages)
    assert passages == cut(text, Cut(size=size, overlap=overlap, most=10_000))[:most]


def test_a_passage_ends_after_the_one_before_it_even_where_the_boundary_is_the_same() -> None:
    text = "0 000000000000000000000 0 0 0 0000000000000000 000000"
    passages = cut(text, Cut(size=13, overlap=8, most=10_000))
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(passages))


def test_neighbours_overlap_and_break_at_words() -> None:
    text = " ".join(f"word{number}" for number in range(100))
    passages = cut(text, Cut(size=20, overlap=6, most=50))
    assert all(following[0] < before[1] for before, following in pairwise(passages))
    assert all(text[start:].startswith("word") for start, _ in passages)


def test_a_short_text_is_one_passage_without_its_margins() -> None:
    assert cut("  a red lamp \n", Cut(size=20, overlap=5, most=4)) == [(2, 12)]


def test_nothing_to_read_is_no_passage() -> None:
    assert cut(" \n\t", Cut(size=20, overlap=5, most=4)) == []


@pytest.mark.parametrize(("size", "overlap", "most"), [(5, 5, 1), (5, -1, 1), (5, 1, 0)])
def test_a_senseless_cut_is_refused(size: int, overlap: int, most: int) -> None:
    with pytest.raises(ValueError, match="passage"):
        Cut(size=size, overlap=overlap, most=most)
