"""Of what was mined, the share that shoppers looked at and let be."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.negatives.domain.evidence import RelevanceEvidence
from services.negatives.domain.plan import MiningPlan
from services.negatives.domain.precision import NegativePrecision, WatchedNegative, measure, watch
from services.negatives.domain.withdrawal import Withdrawal, why_withdrawn

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ENOUGH = 3.0
LATER = NOW + timedelta(hours=1)


def seen(expected, actions=0, *, made_at=LATER, window_start=date(2026, 10, 21)):
    return RelevanceEvidence(actions, actions, expected, 1.0, made_at, window_start)


def mined(evidence, *product_ids):
    return watch({}, product_ids, evidence=evidence, now=NOW)


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ({}, NegativePrecision(0, 0)),
        ({"a": seen(2.9)}, NegativePrecision(0, 0)),
        ({"a": seen(3.0)}, NegativePrecision(1, 0)),
        ({"a": seen(3.0, 1)}, NegativePrecision(1, 1)),
        ({"a": seen(2.9, 1)}, NegativePrecision(0, 0)),
        ({"a": seen(9.0), "b": seen(9.0, 3), "other": seen(9.0, 5)}, NegativePrecision(2, 1)),
        ({"a": seen(9.0), "b": seen(9.0, 2)}, NegativePrecision(2, 0)),  # a third of what was expected
    ],
)
def test_what_was_looked_at_enough_counts_and_is_right_when_nobody_acted(evidence, expected):
    assert measure(mined({}, "a", "b"), evidence, ENOUGH) == expected


def test_looks_of_before_it_was_mined_do_not_count():
    watched = mined({"a": seen(4.0, made_at=NOW)}, "a")
    assert measure(watched, {"a": seen(6.9)}, ENOUGH) == NegativePrecision(0, 0)
    assert measure(watched, {"a": seen(7.0)}, ENOUGH) == NegativePrecision(1, 0)
    assert measure(watched, {"a": seen(3.0)}, ENOUGH) == NegativePrecision(
        0, 0
    )  # the window let some of it go


def test_when_the_window_begins_after_it_was_mined_all_of_it_counts():
    watched = mined({"a": seen(4.0, made_at=NOW)}, "a")
    for start, looked_at in ((NOW.date(), 0), (NOW.date() + timedelta(days=1), 1)):
        assert measure(watched, {"a": seen(4.0, window_start=start)}, ENOUGH).looked_at == looked_at


def test_a_judgement_of_before_that_is_read_late_is_of_before():
    early = mined({}, "a")
    late = watch(early, ["a"], evidence={"a": seen(4.0, made_at=NOW)}, now=LATER)
    assert late == mined({"a": seen(4.0, made_at=NOW)}, "a")
    assert watch(late, ["a"], evidence={"a": seen(9.0)}, now=LATER) == late


def test_what_is_mined_again_is_watched_since_it_was_first_mined():
    watched = mined({}, "a")
    again = watch(watched, ["a", "b"], evidence={"a": seen(3.0), "b": seen(1.0)}, now=LATER)
    assert again == {"a": WatchedNegative(NOW), "b": WatchedNegative(LATER, 1.0)}


def test_what_is_taken_back_is_watched_until_nothing_is_judged_of_it():
    watched = mined({}, "a", "b", "c")
    assert watch(watched, ["b"], evidence={"a": seen(3.0, 1)}, now=LATER).keys() == {"a", "b"}
    assert watch(watched, [], evidence={}, now=LATER) == {}


evidence = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(
        seen,
        st.integers(0, 90).map(lambda tenths: tenths / 10),
        st.integers(0, 2),
        made_at=st.sampled_from([NOW - timedelta(hours=1), NOW, LATER]),
    ),
)


@given(evidence, evidence, st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd")))
def test_to_do_it_twice_is_to_do_it_once(before, after, first, second):
    watched = watch(mined(before, *first), second, evidence=after, now=LATER)
    assert watch(watched, second, evidence=after, now=LATER + timedelta(hours=1)) == watched
    looked_at, acted_upon = measure(watched, after, ENOUGH)
    assert 0 <= acted_upon <= looked_at <= len(watched)
    share = NegativePrecision(looked_at, acted_upon).share
    assert share is None if not looked_at else 0 <= share <= 1


@given(st.integers(0, 2**42), st.floats(0, 1e6))
def test_what_is_watched_is_packed_and_read_back(number, expected):
    since = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=number)
    negative = WatchedNegative(since, expected)
    assert WatchedNegative.unpack(negative.pack()) == negative


def test_why_it_was_taken_back_is_said():
    plan = MiningPlan(
        ("p",),
        engaged=frozenset("p"),
        relevant=frozenset("r"),
        skipped=frozenset(),
        co_positives=frozenset("rc"),
    )
    assert why_withdrawn("x", seen(1.0, 1), plan) is Withdrawal.ENGAGED
    assert why_withdrawn("x", seen(1.0, 1), None) is Withdrawal.ENGAGED
    assert why_withdrawn("x", None, None) is Withdrawal.NO_POSITIVE
    assert why_withdrawn("r", seen(1.0), plan) is Withdrawal.RELEVANT
    assert why_withdrawn("c", None, plan) is Withdrawal.CO_POSITIVE
    assert why_withdrawn("x", seen(1.0), replace(plan, co_positives=frozenset())) is Withdrawal.REPLACED
