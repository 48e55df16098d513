"""Unknown ids are waited for, and rubbish stops nothing for long."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.schema_registry.patience import HALVINGS, REMEMBERED, WINDOW, Patience

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIMIT = timedelta(minutes=10)
STEP = timedelta(seconds=5)


def wait(patience: Patience, schema_id: int, now: datetime) -> datetime:
    """Ask for an unknown id again and again until it is given up; return when."""
    while not patience.is_over(schema_id, now):
        now += STEP
    patience.give_up(schema_id, now)
    return now


def test_an_id_is_waited_for_from_when_it_was_first_asked_for() -> None:
    patience = Patience(LIMIT)
    assert not patience.is_over(1, NOW)
    assert not patience.is_over(1, NOW + LIMIT - STEP)
    assert patience.is_over(1, NOW + LIMIT)


def test_what_was_given_up_costs_no_time_when_it_comes_again() -> None:
    patience = Patience(LIMIT)
    then = wait(patience, 1, NOW)
    assert all(wait(patience, 1, then) == then for _ in range(1000))


def test_ids_that_wait_together_are_given_up_together() -> None:
    patience = Patience(LIMIT)
    assert not any(patience.is_over(schema_id, NOW) for schema_id in range(500))
    then = NOW + LIMIT
    assert all(wait(patience, schema_id, then) == then for schema_id in range(500))


def test_an_id_that_became_known_has_all_of_the_patience_again() -> None:
    patience = Patience(LIMIT)
    then = wait(patience, 1, NOW)
    patience.known(1)
    assert wait(patience, 1, then) - then == LIMIT


@given(st.integers(2, 60), st.lists(st.integers(0, 20), min_size=60, max_size=60))
def test_rubbish_with_ever_new_ids_stops_a_partition_for_twice_the_limit_in_all(
    pieces: int, seconds_between: list[int]
) -> None:
    patience = Patience(LIMIT)
    now, stopped = NOW, timedelta()
    for schema_id in range(pieces):
        now += timedelta(seconds=seconds_between[schema_id])
        then = wait(patience, schema_id, now)
        stopped += then - now
        now = then
    assert LIMIT <= stopped <= 2 * LIMIT + HALVINGS * STEP


def test_after_a_quiet_while_a_late_schema_is_waited_for_as_long_as_ever() -> None:
    patience = Patience(LIMIT)
    then = wait(patience, 1, NOW) + WINDOW * LIMIT
    assert wait(patience, 2, then) - then == LIMIT


def test_no_more_ids_are_remembered_than_fit() -> None:
    patience = Patience(timedelta())
    for schema_id in range(REMEMBERED + 10):
        assert wait(patience, schema_id, NOW) == NOW
    assert len(patience._given_up) == REMEMBERED
