"""Steps: every item once, in order, none larger than may be unless it is one item."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.embedder.domain.steps import portions


@given(sizes=st.lists(st.integers(0, 50), max_size=40), most=st.integers(1, 60))
def test_portions_have_every_item_once_in_order_and_fit(sizes, most):
    cut = list(portions(sizes, size=lambda size: size, most=lambda: most))
    assert [size for portion in cut for size in portion] == sizes
    assert all(portion and (sum(portion) <= most or len(portion) == 1) for portion in cut)
    assert all(sum(one) + following[0] > most for one, following in pairwise(cut))


def test_a_portion_is_as_large_as_may_be_when_it_is_begun():
    rooms = iter([2, 3, 1])
    assert list(portions("abcdef", size=len, most=lambda: next(rooms))) == [
        ["a", "b"],
        ["c", "d", "e"],
        ["f"],
    ]
