"""Debezium's dates and times whose parts are named (`time.precision.mode=structured`), as ISO 8601 text."""

from collections.abc import Mapping
from typing import Any

from schemas.wire import calendar
from schemas.wire.errors import WireError, shown

Parts = Mapping[str, Any]  # Any: JSON


def iso_text(value: Parts, *, zoned: bool) -> str:
    """Return a date, a time, or both; infinity is the end of the calendar; raises `WireError`."""
    special = value.get("specialValue")
    year = value.get("year")
    if special is None and type(year) is int and not 1 <= year <= 9999:
        special = "POSITIVE_INFINITY" if year > 0 else "NEGATIVE_INFINITY"
    if special is not None:
        return calendar.end(late=special == "POSITIVE_INFINITY", days="hour" not in value)
    try:
        parts = [_date(value)] if "year" in value else []
        parts += [_time(value, zoned=zoned)] if "hour" in value else []
    except (KeyError, TypeError, ValueError) as error:
        raise WireError("connect.invalid", f"{shown(value)} is not a date or time") from error
    return "T".join(parts)


def _date(value: Parts) -> str:
    return f"{value['year']:04}-{value['month']:02}-{value['day']:02}"


def _time(value: Parts, *, zoned: bool) -> str:
    fraction = f".{value.get('nanos') or 0:09}".rstrip("0").rstrip(".")
    text = f"{value['hour']:02}:{value['minute']:02}:{value['second']:02}{fraction}"
    offset = value.get("offsetSeconds") or 0
    if not offset:
        return f"{text}Z" if zoned else text
    sign, minutes = "-" if offset < 0 else "+", abs(offset) // 60
    return f"{text}{sign}{minutes // 60:02}:{minutes % 60:02}"
