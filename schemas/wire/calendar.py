"""Dates and times that databases count, as ISO 8601 text.

What lies outside the years 1 to 9999, as PostgreSQL's infinity does, is the nearest day of that calendar: a
filter on a range then still says the right thing.
"""

import re
from datetime import datetime, timedelta

from schemas.base import EPOCH, MILLISECOND
from schemas.wire.errors import WireError, shown

MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)

_FIRST, _LAST = datetime.min.replace(tzinfo=EPOCH.tzinfo), datetime.max.replace(tzinfo=EPOCH.tzinfo)
_ENDLESS_DAYS = frozenset({-2_147_472_692, -622_191_234, -622_191_233})
"""Days of the date `infinity` in PostgreSQL's connector, all overflown: Integer.MAX_VALUE after 2000-01-01 in
a change; in a snapshot what a `java.sql.Date` makes of it, by the time zone of Connect."""
_ENDLESS_NANOSECONDS = {2**63 - 1: _LAST, -(2**63): _FIRST}
_BEYOND = re.compile(r"([+-]\d{5,}-\d\d-\d\d|-?infinity)(?:[TZ].*)?")
_FAR = {
    "infinity": True,
    "-infinity": False,
    "-5877611-06-21": True,  # infinity in a change
    **dict.fromkeys(("+292269055-12-02", "+292269055-12-03"), False),  # -infinity in a snapshot
}


def iso_date(days: object) -> str:
    """Return a count of days since 1970; raises `WireError` when it is no whole number."""
    count = _whole(days)
    return moment_at(2**40 if count in _ENDLESS_DAYS else count, DAY).date().isoformat()


def iso_moment(count: object, unit: timedelta) -> str:
    """Return a count of milliseconds or microseconds since 1970, in UTC, as Debezium's `isostring` has it."""
    return _iso(moment_at(count, unit), "milliseconds" if unit >= MILLISECOND else "microseconds")


def iso_nanoseconds(count: object) -> str:
    """Return a count of nanoseconds since 1970, in UTC, to the microsecond."""
    number = _whole(count)
    moment = _ENDLESS_NANOSECONDS.get(number) or moment_at(number // 1000, MICROSECOND)
    return _iso(moment, "microseconds")


def iso_time(count: object, unit: timedelta) -> str:
    """Return a count since midnight; MySQL's go beyond a day, and below none: `-12:30:00`, `838:59:59`."""
    number = _whole(count)
    microseconds = abs(number) * (unit // MICROSECOND)
    if microseconds >= 2**63:
        raise WireError("connect.invalid", f"the time {shown(count)} is none of a day")
    if number >= 0 and microseconds < DAY // MICROSECOND:
        return (EPOCH + microseconds * MICROSECOND).time().isoformat()
    seconds, fraction = divmod(microseconds, 1_000_000)
    text = f"{'-' if number < 0 else ''}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{fraction:06}" if fraction else text


def far(text: str, *, days: bool) -> str | None:
    """Return the first or last of the calendar for a text that lies outside it; None for any other."""
    beyond = _BEYOND.fullmatch(text)
    if beyond is None:
        return None
    return end(late=_FAR.get(beyond[1], text.startswith("+")), days=days)


def end(*, late: bool, days: bool) -> str:
    """Return the last day or moment of the calendar, or the first."""
    moment = _LAST if late else _FIRST
    return moment.date().isoformat() if days else _iso(moment, "microseconds")


def moment_at(count: object, unit: timedelta) -> datetime:
    """Return a count since 1970 as a time within the calendar."""
    number = _whole(count)
    try:
        return EPOCH + number * unit
    except OverflowError:
        return _LAST if number > 0 else _FIRST


def _iso(moment: datetime, digits: str) -> str:
    return moment.isoformat(timespec=digits).replace("+00:00", "Z")


def _whole(count: object) -> int:
    if type(count) is not int:
        raise WireError("connect.invalid", f"the time {shown(count)} is not a whole number since 1970")
    return count
