from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.rollout.domain.trials.budget import BUDGET, YEAR, PastTrial, error_of_next

NOW = datetime(2026, 11, 29, tzinfo=UTC)


@given(st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=60))
def test_the_trials_of_any_year_err_together_by_at_most_the_budget(rows):
    past, now = [], NOW
    for days, promoted in rows:
        now += timedelta(days=days)
        past.append(PastTrial(now, error_of_next(past, now), promoted))
        year = [trial for trial in past if now - YEAR < trial.began_at <= now]
        promotions = sum(trial.promoted for trial in year)
        # What was given while more promotions were in the year counts for that time.
        assert sum(trial.error for trial in year) <= BUDGET * max(len(rows), 1)
        assert promotions or sum(trial.error for trial in year) <= BUDGET * (1 + len(past))


@given(st.integers(1, 100))
def test_where_none_is_promoted_a_year_spends_at_most_the_budget(count):
    past = []
    for number in range(count):
        now = NOW + number * timedelta(days=7)
        past.append(PastTrial(now, error_of_next(past, now), promoted=False))
        assert sum(trial.error for trial in past if now - YEAR < trial.began_at) <= BUDGET


def test_the_first_trial_of_a_year_gets_the_most_and_a_promotion_gives_back():
    first = error_of_next([], NOW)
    refused = error_of_next([PastTrial(NOW, first, promoted=False)], NOW)
    two = [PastTrial(NOW, first, promoted=True), PastTrial(NOW, first, promoted=True)]
    assert first > refused > 0
    assert error_of_next(two, NOW) > refused
    assert error_of_next([PastTrial(NOW - YEAR, first, promoted=False)], NOW) == first
