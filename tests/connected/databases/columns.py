"""Columns of a shop: what is written to them, and what the index must have of what SELECT says."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

WORDS = (
    "Trail",
    "shoe",
    "Köln",
    "größer",
    "dark green",
    "it's",
    'say "so"',
    "5 %",
    "Lampe",
    "雨衣",
    "🥂",
    "a,b",
)
LARGE = 6000
"""Characters of a text that PostgreSQL keeps beside its row."""
YEAR = datetime.fromisoformat("2026-01-01 00:00:00.000001")
FAR = {None: None, "infinity": "9999-12-31T23:59:59.999999Z", "-infinity": "0001-01-01T00:00:00.000000Z"}

Value = Any
"""JSON."""
Maker = Callable[[Random], Value]


def quoted(value: object) -> str:
    """Return text as SQL writes it."""
    return "'" + str(value).replace("'", "''") + "'"


@dataclass(frozen=True)
class Column:
    """Its type in SQL, how a value of it is made and written, and how one is indexed.

    `indexed` takes what SELECT says and whether rows are flattened, and returns the attributes by the end of
    their name: "" is the column itself.
    """

    type: str
    make: Maker
    indexed: Callable[[Value, bool], Mapping[str, Value]] = lambda value, _: {"": value}
    literal: Callable[[Value], str] = quoted
    large: bool = False
    """Whether PostgreSQL may keep it beside its row, and not log it again."""

    def write(self, rng: Random) -> str:
        """Return a literal, one in eight NULL."""
        return "NULL" if rng.random() < 1 / 8 else self.literal(self.make(rng))


def indexed(row: Mapping[str, Value], columns: Mapping[str, Column], *, flattened: bool) -> dict[str, Value]:
    """Return the attributes that the index must have of a row."""
    return {
        f"{name}{end}": leaf
        for name, column in columns.items()
        for end, leaf in column.indexed(row[name], flattened).items()
    }


def words(rng: Random) -> str:
    """Return a few words."""
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 6)))


def long_text(rng: Random) -> str:
    """Return words, or a text that is large and that does not compress."""
    if rng.random() < 0.3:
        return words(rng)
    return "Ü " + "".join(rng.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ äöüß", k=LARGE))


def document(rng: Random) -> Value:
    """Return a document, sometimes a large one, or a list."""
    if rng.random() < 0.1:
        return [{"eu": rng.randint(36, 46)}, {"eu": rng.randint(36, 46)}]
    tree = {"material": words(rng), "size": {"eu": rng.randint(36, 46), "wide": rng.random() < 0.5}}
    if rng.random() < 0.3:
        tree["notes"] = long_text(rng)
    return dict(rng.sample(sorted(tree.items()), rng.randint(1, len(tree))))


def flat(value: Value, _: bool = False) -> Mapping[str, Value]:
    """Return a document as dotted names; lists of objects as lists by name."""
    if isinstance(value, dict):
        return {f".{name}{end}": leaf for name, item in value.items() for end, leaf in flat(item).items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {f".{name}": [item[name] for item in value] for name in value[0]}
    return {"": value}


def moment(rng: Random) -> str:
    """Return a time to the microsecond."""
    return str(YEAR + timedelta(microseconds=rng.randrange(10**14)))


def zoned(value: Value, flattened: bool) -> Mapping[str, Value]:
    """Return how a time with a zone is indexed; without a schema the word infinity is a word."""
    if value in FAR:
        return {"": value if flattened else FAR[value]}
    return {"": in_utc(value, "microseconds")}


def local(digits: str) -> Callable[[Value, bool], Mapping[str, Value]]:
    """Return how a time without a zone is indexed: with so many digits; as ISO text without last zeros."""

    def indexed(value: Value, flattened: bool) -> Mapping[str, Value]:
        if value is None:
            return {"": None}
        text = in_utc(value, digits)
        return {"": f"{text[:-1].rstrip('0').rstrip('.')}Z" if flattened else text}

    return indexed


def in_utc(value: str, digits: str) -> str:
    """Return a time as ISO 8601 text."""
    moment = datetime.fromisoformat(value)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec=digits).replace("+00:00", "Z")


def day(value: Value, flattened: bool) -> Mapping[str, Value]:
    """Return how a date is indexed."""
    if value in FAR:
        return {"": value and FAR[value][:10]}
    return {"": f"{value}{'Z' if flattened else ''}"}


def finite(value: Value, flattened: bool) -> Mapping[str, Value]:
    """Return a number; what is none (NaN) is left out, or without a schema text."""
    return {} if isinstance(value, str) and not flattened else {"": value}


def content(value: Value, flattened: bool) -> Mapping[str, Value]:
    """Return nothing of bytes, unless no schema says that they are some; SELECT has them in hexadecimal."""
    if value is None:
        return {"": None}
    return {"": b64encode(bytes.fromhex(value.removeprefix("\\x"))).decode()} if flattened else {}


def number(low: int, high: int, digits: int = 0) -> Maker:
    """Return a maker of numbers with so many digits after the point."""
    return lambda rng: Decimal(rng.randint(low, high)).scaleb(-digits)


def one_of(*values: Value) -> Maker:
    """Return a maker of one of these."""
    return lambda rng: rng.choice(values)


def as_json(value: Value) -> str:
    """Return a document as SQL writes it."""
    return quoted(json.dumps(value, ensure_ascii=False))


def some_of(*values: str) -> Callable[[Random], Sequence[str]]:
    """Return a maker of some of these, in their order."""
    return lambda rng: [value for value in values if rng.random() < 0.5]
