"""Steps are as large as what is embedded in time, within bounds."""

from datetime import timedelta

import pytest

from services.embedder.domain.pace import FIRST, LEAST, MOST, EmbeddingPace

QUARTER = timedelta(milliseconds=250)


def test_before_anything_was_measured_a_step_is_small():
    assert EmbeddingPace().characters_within(QUARTER) == FIRST


@pytest.mark.parametrize(("characters_a_second", "step"), [(10, LEAST), (40_000, 10_000), (9e9, MOST)])
def test_a_step_is_what_is_embedded_in_time(characters_a_second, step):
    pace = EmbeddingPace()
    pace.learn(6000, timedelta(seconds=6000 / characters_a_second))
    assert pace.characters_within(QUARTER) == step


def test_a_pace_that_changes_is_followed_and_one_measurement_does_not_decide():
    pace = EmbeddingPace()
    pace.learn(6000, timedelta(seconds=0.25))
    pace.learn(6000, timedelta(seconds=2.5))
    once = pace.characters_within(QUARTER)
    assert LEAST < once < 6000
    for _ in range(20):
        pace.learn(6000, timedelta(seconds=2.5))
    assert pace.characters_within(QUARTER) == LEAST


def test_little_text_and_no_time_at_all_say_nothing():
    pace = EmbeddingPace()
    pace.learn(LEAST - 1, timedelta(seconds=9))
    pace.learn(9000, timedelta(0))
    assert pace.characters_a_second is None
