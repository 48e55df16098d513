from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.rollout.domain.trials.budget import BUDGET, YEAR, PastTrial, error_of_next

NOW = datetime(2026, 11, 29, tzinfo=UTC)
gaps = st.lists(st.tuples(st.integers(0, 90), st.booleans()), max_size=80)


def begun(rows):
    past, now = [], NOW
    for days, promoted in rows:
        now += timedelta(days=days)
        past.append(PastTrial(now, error_of_next(past, now), promoted))
    return past


@given(gaps)
def test_the_trials_of_any_year_err_together_by_at_most_the_budget_and_a_half_more_a_promotion(rows):
    past = begun(rows)
    for last in past:
        year = [trial for trial in past if last.began_at - YEAR < trial.began_at <= last.began_at]
        promotions = sum(trial.promoted for trial in year)
        assert sum(trial.error for trial in year) <= BUDGET * (1 + promotions / 2) + 1e-12


@given(gaps)
def test_a_trial_always_gets_something_and_order_in_the_log_changes_nothing(rows):
    past = begun(rows)
    later = NOW + 100 * YEAR
    assert all(trial.error > 0 for trial in past[:8])
    assert error_of_next(reversed(past), later) == error_of_next(past, later) == BUDGET / 4


def test_who_seldom_tries_has_more_for_each_and_a_promotion_gives_back():
    first = error_of_next([], NOW)
    soon = error_of_next([PastTrial(NOW, first, promoted=False)], NOW + timedelta(days=7))
    late = error_of_next([PastTrial(NOW, first, promoted=False)], NOW + timedelta(days=90))
    assert first > late > soon > 0
    assert error_of_next([PastTrial(NOW, first, promoted=True)], NOW) == first


def test_weekly_trials_share_the_year_evenly_after_a_while():
    past = begun([(28, False)] * 40)
    assert abs(past[-1].error - past[-2].error) < 1e-4
    assert past[-1].error > 0.003
