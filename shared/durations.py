"""Spans of time as people write them: 150ms, 5s, 10m, 2h, 30d, 1h30m, 0:10:00, PT10M (ISO 8601)."""

import re
from datetime import timedelta

FORMS = "150ms, 5s, 10m, 2h, 30d, 1h30m, 0:10:00 or PT10M"
UNITS = {
    "us": timedelta(microseconds=1),
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
"""Longest last: `text_of` begins with them."""
WORDS = {"sec": "s", "second": "s", "min": "m", "minute": "m", "hour": "h", "day": "d", "week": "w"}
_PART = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-zµ]+)\s*")


def read_duration(text: str | timedelta) -> timedelta:
    """Return the span of time; raises `ValueError` that names the forms there are."""
    if isinstance(text, timedelta):
        return text
    try:
        return _iso(text) if (parts := _parts(text)) is None else parts
    except (ValueError, OverflowError) as error:
        hint = f": {text.strip()}s?" if text.strip().replace(".", "", 1).isdigit() else ""
        raise ValueError(f"{text!r} is no span of time{hint} (write {FORMS})") from error


def text_of(span: timedelta) -> str:
    """Return it in the shortest of those forms, which `read_duration` reads."""
    if span < timedelta(0):
        return f"-{text_of(-span)}"
    parts = []
    for unit, size in reversed(UNITS.items()):
        if unit != "w" and (count := span // size):
            parts.append(f"{count}{unit}")
            span -= count * size
    return "".join(parts) or "0s"


def _parts(text: str) -> timedelta | None:
    """Return the sum of numbers with units; None: it is not written so."""
    rest, total = text.strip().lower(), timedelta(0)
    if rest == "0":
        return total
    if not rest:
        return None
    while rest:
        part = _PART.match(rest)
        size = UNITS.get(_unit(part["unit"])) if part else None
        if part is None or size is None:
            return None
        total += float(part["number"]) * size
        rest = rest[part.end() :]
    return total


def _iso(text: str) -> timedelta:
    from pydantic import TypeAdapter  # noqa: PLC0415  the other forms do without it

    return TypeAdapter(timedelta).validate_python(text)


def _unit(written: str) -> str:
    name = written.replace("µ", "u")
    return name if name in UNITS else WORDS.get(name.removesuffix("s"), name)
