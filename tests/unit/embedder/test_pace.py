"""Steps are as large as what is embedded in time, within bounds."""

from datetime import timedelta

import pytest

from services.embedder.domain.pace import FIRST, LEAST, MOST, EmbeddingPace

QUARTER = timedelta(milliseconds=250)


def test_before_anything_was_measured_a_step_is_small():
    assert EmbeddingPace().texts_within(QUARTER) == FIRST


@pytest.mark.parametrize(("texts_a_second", "step"), [(10, LEAST), (400, 100), (100_000, MOST)])
def test_a_step_is_what_is_embedded_in_time(texts_a_second, step):
    pace = EmbeddingPace()
    pace.learn(100, timedelta(seconds=100 / texts_a_second))
    assert pace.texts_within(QUARTER) == step


def test_a_pace_that_changes_is_followed_and_one_measurement_does_not_decide():
    pace = EmbeddingPace()
    pace.learn(100, timedelta(seconds=0.25))
    pace.learn(100, timedelta(seconds=2.5))
    once = pace.texts_within(QUARTER)
    assert LEAST < once < 100
    for _ in range(20):
        pace.learn(100, timedelta(seconds=2.5))
    assert pace.texts_within(QUARTER) == LEAST


def test_a_handful_of_texts_and_no_time_at_all_say_nothing():
    pace = EmbeddingPace()
    pace.learn(LEAST - 1, timedelta(seconds=9))
    pace.learn(1000, timedelta(0))
    assert pace.texts_a_second is None
