"""The logs of many processes as one readable stream."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import orjson
import structlog
from rich.text import Text

COLOURS = ("cyan", "green", "magenta", "blue", "yellow")
LEVELS = {"warning": "yellow", "error": "bold red", "critical": "bold red"}
HIDDEN = frozenset({"event", "level", "timestamp", "worker", "exception", "stack"})
NAME_WIDTH, EVENT_WIDTH = 10, 24


class LogView:
    """Turns one line of one process into one line for people: time, process, event, fields."""

    def __init__(self, names: Sequence[str]) -> None:
        self._colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
        self._width = max(NAME_WIDTH, *(len(name) for name in names))

    def line(self, name: str, line: str) -> Text:
        """Render one line; one that is not a JSON event is shown as it is."""
        text = Text(no_wrap=False)
        event = _event(line)
        text.append(f"{_time(event):8} ", style="dim")
        text.append(f"{name:{self._width}} ", style=self._colours.get(name, "white"))
        if event is None:
            return text.append(line, style="dim")
        level = str(event.get("level", "info"))
        text.append(f"{event.get('event', ''):{EVENT_WIDTH}}", style=LEVELS.get(level, ""))
        for key, value in event.items():
            if key not in HIDDEN:
                text.append(f" {key}=", style="dim").append(_value(value))
        if exception := event.get("exception"):
            text.append(f"\n{exception}", style="red")
        return text


def is_warning(line: str) -> bool:
    """Say whether a line is a warning or worse, or nothing that a worker logs: a trace of a crash, say."""
    event = _event(line)
    return event is None or event.get("level", "info") not in {"debug", "info"}


class _Printer:
    """The end of structlog's chain: hands every line on."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = show


def show_own_events(show: Callable[[str], None]) -> None:
    """Send this process's own events, as lines of JSON, to `show`."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=lambda *_: _Printer(show),
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        cache_logger_on_first_use=False,
    )


def _event(line: str) -> Mapping[str, object] | None:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None


def _time(event: Mapping[str, object] | None) -> str:
    try:
        moment = datetime.fromisoformat(str(event["timestamp"])) if event else None
    except (KeyError, ValueError):
        return ""
    return f"{moment.astimezone():%H:%M:%S}" if moment else ""


def _value(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
