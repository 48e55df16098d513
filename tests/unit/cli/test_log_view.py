"""Log lines of many processes read as one."""

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from services.cli.log_view import LogView, is_warning, show_own_events

VIEW = LogView(["embedder", "search"])


def test_an_event_is_shown_with_process_name_and_fields() -> None:
    line = '{"event": "batch.applied", "timestamp": "2026-11-21T10:00:00Z", "worker": "x", "rows": 3}'
    shown = VIEW.line("embedder", line).plain
    assert shown[8:].split() == ["embedder", "batch.applied", "rows=3"]


def test_names_and_events_are_aligned() -> None:
    first = VIEW.line("embedder", '{"event": "a", "x": 1}').plain
    second = VIEW.line("search", '{"event": "batch.applied", "x": 1}').plain
    assert first.index("x=") == second.index("x=")


def test_a_line_that_is_no_event_is_shown_as_it_is() -> None:
    for line in ("Traceback (most recent call last):", "[1, 2]", "{", "", "\x00"):
        assert VIEW.line("search", line).plain.endswith(line)


def test_a_traceback_keeps_its_lines() -> None:
    shown = VIEW.line(
        "search", '{"event": "worker.failed", "level": "error", "exception": "Traceback\\n  File"}'
    )
    assert shown.plain.endswith("worker.failed           \nTraceback\n  File")


def test_markup_in_a_message_is_not_interpreted() -> None:
    assert "[bold]x[/bold]" in VIEW.line("search", '{"event": "e", "text": "[bold]x[/bold]"}').plain


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.text(max_size=60) | VALUES.map(lambda value: orjson.dumps(value).decode()))
def test_whatever_a_process_prints_is_shown(line: str) -> None:
    assert VIEW.line("search", line).plain.startswith(" " * 9 + "search") or '"timestamp"' in line


@given(st.dictionaries(st.text("abc", min_size=1, max_size=4), VALUES, max_size=4))
def test_every_field_of_an_event_is_shown(fields) -> None:
    shown = VIEW.line("search", orjson.dumps({"event": "e", **fields}).decode()).plain
    assert all(f" {name}=" in shown for name in fields)


@pytest.mark.parametrize("stamp", ["", "yesterday", None, 5])
def test_a_time_that_is_none_is_left_out(stamp: object) -> None:
    line = orjson.dumps({"event": "batch.applied", "timestamp": stamp}).decode()
    assert VIEW.line("search", line).plain.split() == ["search", "batch.applied"]


def test_a_process_that_was_not_announced_is_shown_too() -> None:
    assert VIEW.line("late-comer", '{"event": "e"}').plain.split() == ["late-comer", "e"]


@pytest.mark.parametrize(("level", "style"), [("warning", "yellow"), ("error", "bold red"), ("info", "")])
def test_the_level_is_the_colour_of_the_event(level: str, style: str) -> None:
    text = VIEW.line("search", orjson.dumps({"event": "e", "level": level}).decode())
    [span] = [span for span in text.spans if text.plain[span.start : span.end].strip() == "e"] or [None]
    assert (span.style if span else "") == style


def test_own_events_are_lines_like_those_of_the_others() -> None:
    lines: list[str] = []
    show_own_events(lines.append)
    try:
        structlog.get_logger().info("stack.started", workers=5)
        structlog.get_logger().debug("too.much")
    finally:
        structlog.reset_defaults()
    [line] = lines
    assert VIEW.line("up", line).plain.split()[1:] == ["up", "stack.started", "workers=5"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('{"event": "segment.written", "level": "info"}', False),
        ('{"event": "segment.written"}', False),
        ('{"event": "reader.retrying", "level": "warning"}', True),
        ('{"event": "worker.failed", "level": "error"}', True),
        ("Traceback (most recent call last):", True),
        ("", True),
    ],
)
def test_a_warning_is_told_from_what_is_usual(line: str, shown: bool) -> None:
    assert is_warning(line) is shown
