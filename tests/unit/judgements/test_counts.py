from hypothesis import given
from hypothesis import strategies as st

from services.judgements.domain.counts import OutcomeTally, QueryProduct, first_day

DAY = 20_778
outcomes = st.lists(
    st.tuples(
        st.sampled_from(["q", "r"]),
        st.sampled_from(["a", "b"]),
        st.integers(0, 3),
        st.sampled_from(["impression", "click", "purchase"]),
        st.sampled_from(["", "s1", "s2"]),
        st.integers(DAY - 5, DAY),
    ),
    max_size=30,
)


def tally_of(rows):
    tally = OutcomeTally()
    for query, product, position, action, shopper, day in rows:
        tally.add(query, [(product, position)], action=action, shopper=shopper, day=day)
    return tally


@given(rows=outcomes, rng=st.randoms(use_true_random=False))
def test_the_order_of_outcomes_does_not_matter(rows, rng):
    shuffled = [*rows]
    rng.shuffle(shuffled)
    assert tally_of(rows) == tally_of(shuffled)


@given(rows=outcomes, days=st.integers(1, 7))
def test_a_window_is_the_sum_of_its_live_days(rows, days):
    first = first_day(DAY, days)
    window = tally_of(rows).window(first)
    live = [row for row in rows if row[5] >= first]
    assert window == tally_of(live).window(0)
    for (query, product), counts in window.items():
        mine = [row for row in live if row[:2] == (query, product)]
        assert sum(counts.impressions.values()) == sum(row[3] == "impression" for row in mine)
        assert sum(counts.actions.values()) == sum(row[3] != "impression" for row in mine)
        assert counts.shoppers == len({row[4] for row in mine if row[3] != "impression"} - {""})


@given(rows=outcomes)
def test_totals_by_position_are_all_pairs_together(rows):
    totals = tally_of(rows).window_totals(0)
    assert totals.impressions.total() == sum(row[3] == "impression" for row in rows)
    for action, counter in totals.actions.items():
        assert counter.total() == sum(row[3] == action for row in rows)


def test_a_shopper_who_comes_back_is_one_shopper():
    rows = [("q", "a", 1, "click", "s1", day) for day in (DAY - 4, DAY, DAY - 2)]
    assert tally_of(rows).window(DAY)[QueryProduct("q", "a")].shoppers == 1
