"""The similarity join is exact."""

from hypothesis import example, given
from hypothesis import strategies as st

from shared.catalogue.near_duplicates import jaccard, similar

SETS = st.dictionaries(
    st.integers(0, 20), st.frozensets(st.sampled_from("abcdefghij"), max_size=8), max_size=8
)


@given(SETS, SETS, st.sampled_from([0.5, 0.6, 2 / 3, 0.75, 0.8, 0.85, 1.0]))
@example({1: frozenset("abc")}, {2: frozenset("abcd")}, 0.75)  # exactly at the threshold
def test_the_join_finds_exactly_what_comparing_all_with_all_finds(left, right, threshold) -> None:
    wanted = {
        key
        for key, ours in left.items()
        if any(jaccard(ours, theirs) >= threshold for theirs in right.values())
    }
    assert similar(left, right, threshold) == wanted


def test_empty_sets_are_like_nothing() -> None:
    assert jaccard(frozenset(), frozenset()) == 0
    assert similar({"a": frozenset()}, {"b": frozenset()}, 0.5) == set()
