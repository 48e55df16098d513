"""Spans of time as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.durations import read_duration, text_of


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("150ms", 0.15),
        ("0.15s", 0.15),
        ("5s", 5),
        ("5 s", 5),
        ("10m", 600),
        ("10 min", 600),
        ("2 hours", 7200),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("30d", 30 * 86400),
        ("7days", 7 * 86400),
        ("2w", 14 * 86400),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("0s", 0),
        ("0", 0),
        ("PT0.15S", 0.15),
        ("P30D", 30 * 86400),
        ("0:10:00", 600),
        ("1 day, 0:00:05", 86405),
    ],
)
def test_every_usual_form_is_read(written, seconds) -> None:
    assert read_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["", "cheap", "5 parsecs", "5s and more", "999999999999d"])
def test_what_is_none_is_refused_with_the_forms_there_are(written) -> None:
    with pytest.raises(ValueError, match=r"is no span of time \(write 150ms, 5s,"):
        read_duration(written)


@pytest.mark.parametrize("written", ["150", "0.15"])
def test_a_number_without_a_unit_is_not_guessed(written) -> None:
    with pytest.raises(ValueError, match=rf"'{written}' is no span of time: {written}s\?"):
        read_duration(written)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10_000)))
def test_what_is_shown_is_read_again(span) -> None:
    assert read_duration(text_of(span)) == span


def test_it_is_shown_as_short_as_it_can_be() -> None:
    spans = [timedelta(milliseconds=150), timedelta(seconds=90), timedelta(days=30), timedelta(0)]
    assert [text_of(span) for span in spans] == ["150ms", "1m30s", "30d", "0s"]
