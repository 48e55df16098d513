"""Log lines of many processes read as one."""

from services.cli.log_view import LogView

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
