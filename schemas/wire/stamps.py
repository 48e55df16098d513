"""What orders a change: its line of versions, and its version in it.

A number that the producer states is of the line `version`, a time of the line `time` (in milliseconds), and
what states nothing of the line `append`: it is ordered by where it lies. A time after the broker's is no
version: nothing is made after it was appended. Debezium's source block says where in its database a change
was made, which orders the changes of one server and of no other:

| connector | line | version |
|---|---|---|
| PostgreSQL | server | `lsn` |
| MySQL with GTIDs | server, UUID of the GTID | transaction, `pos`, `row` |
| MariaDB with GTIDs | server, domain of the GTID | sequence, `pos`, `row` |
| both without | server, `server_id`, name of the `file` | number of the `file`, `pos`, `row` |
| SQL Server, Db2, Informix | server | `commit_lsn`, `change_lsn`, `event_serial_no` |
| Oracle | server | `scn`, `rs_id`, `ssn` |
| MongoDB | server | `ts_ms`, `ord` |
| any other | server | `ts_ns`, else `ts_us`, else `ts_ms`, in nanoseconds |

Rows of a snapshot are of a line of their own (`server/snapshot`). They are as of a place in the log that may
lie behind changes that they do not have: of a transaction that was open when the snapshot began, PostgreSQL
and Oracle tell the changes by where they were made, and tell them after the snapshot.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from schemas.wire.strict_json import Object

STATED, TIME, APPEND, TOMBSTONE = "version", "time", "append", "tombstone"
ENVELOPED, FLATTENED = "debezium/", "rows/"
"""How the lines begin of Debezium's events, and of rows that its `ExtractNewRecordState` has flattened."""

MAX_NAME = 200
_STREAMED = (None, False, "false")
_NANOSECONDS = {"ts_ns": 1, "ts_us": 1000, "ts_ms": 1_000_000}
_WHOLE = re.compile(r"\d{1,30}")
_HEXADECIMAL = re.compile(r"(?:0x)?([0-9a-fA-F]{1,16})")


class LinePosition(NamedTuple):
    """Where in its line a change is."""

    line: str
    version: tuple[int, ...]


def position_of(source: Object, kind: str) -> LinePosition | None:
    """Return where a source block says that its change was made; None when it does not.

    A flattened row need not say whose block it is: then what there is in it tells.
    """
    connector = _text(source.get("connector"))
    snapshot = "" if source.get("snapshot") in _STREAMED else "/snapshot"
    server = f"{kind}{connector}/{_text(source.get('name')) or _text(source.get('db'))}{snapshot}"
    known = _BY_CONNECTOR.get(connector)
    readers = _BY_CONNECTOR.values() if known is None else (known,)
    for read in (*readers, _by_time):
        if (position := read(source)) is not None:
            return LinePosition(f"{server}{position.line}"[:MAX_NAME], position.version)
    return None


def part_of(source: Object, parts: Collection[str]) -> str | None:
    """Return the name among `parts` of the table that a change was made in; None: it is none of them.

    A table goes by its own name, and by that with its schema, its database, or both before it.
    """
    table = _text(source.get("table")) or _text(source.get("collection"))
    schema, database = _text(source.get("schema")), _text(source.get("db"))
    names = (table, f"{schema}.{table}", f"{database}.{table}", f"{database}.{schema}.{table}")
    return next((name for name in names if table and name in parts), None)


def _by_lsn(source: Object) -> LinePosition | None:
    lsn = _number(source.get("lsn"))
    return None if lsn is None else LinePosition("", (lsn,))


def _by_binlog(source: Object) -> LinePosition | None:
    place, row = _number(source.get("pos")), _number(source.get("row"))
    if place is None:
        return None
    if (transaction := _transaction(_text(source.get("gtid")))) is not None:
        return LinePosition(f"/{transaction.line}", (*transaction.version, place, row or 0))
    file = _text(source.get("file"))
    digits = file[len(file.rstrip("0123456789")) :]
    name = file.removesuffix(digits).rstrip(".")
    server = _number(source.get("server_id")) or 0
    return LinePosition(f"/{server}/{name}", (_number(digits) or 0, place, row or 0))


def _transaction(gtid: str) -> LinePosition | None:
    """Return the origin and the number of a transaction: `uuid:n` (MySQL), `domain-server-n` (MariaDB)."""
    origin, colon, number = gtid.rpartition(":")
    if colon and _WHOLE.fullmatch(number):
        return LinePosition(origin, (int(number),))
    domain, _, number = gtid.partition("-")[0], *gtid.rpartition("-")[1:]
    return LinePosition(domain, (int(number),)) if _WHOLE.fullmatch(number) and domain != number else None


def _by_log_sequence(source: Object) -> LinePosition | None:
    commit, change = _parts(source.get("commit_lsn"), ":"), _parts(source.get("change_lsn"), ":")
    if not commit and not change:
        return None
    return LinePosition("", (*_three(commit), *_three(change), _number(source.get("event_serial_no")) or 0))


def _by_scn(source: Object) -> LinePosition | None:
    scn = _number(source.get("scn"))
    if scn is None:
        return None
    return LinePosition("", (scn, *_three(_parts(source.get("rs_id"), ".")), _number(source.get("ssn")) or 0))


def _by_ordinal(source: Object) -> LinePosition | None:
    moment, ordinal = _number(source.get("ts_ms")), _number(source.get("ord"))
    return None if moment is None or ordinal is None else LinePosition("", (moment, ordinal))


def _by_time(source: Object) -> LinePosition | None:
    for name, unit in _NANOSECONDS.items():
        if (moment := _number(source.get(name))) is not None:
            return LinePosition("/time", (moment * unit,))
    return None


def _three(parts: tuple[int, ...]) -> tuple[int, ...]:
    """Return exactly three numbers, so that versions of one line compare part by part."""
    return (*parts, 0, 0, 0)[:3]


def _parts(value: object, separator: str) -> tuple[int, ...]:
    """Return the hexadecimal parts of a log sequence number; () for anything else."""
    matches = [_HEXADECIMAL.fullmatch(part) for part in _text(value).strip().split(separator)]
    return tuple(int(match[1], 16) for match in matches if match) if all(matches) else ()


def _number(value: object) -> int | None:
    if type(value) is str and _WHOLE.fullmatch(value):
        return int(value)
    return value if type(value) is int and value >= 0 else None


def _text(value: object) -> str:
    return value if type(value) is str else str(value) if type(value) is int else ""


_BY_CONNECTOR: Mapping[str, Callable[[Object], LinePosition | None]] = {
    "postgresql": _by_lsn,
    "mysql": _by_binlog,
    "mariadb": _by_binlog,
    "sqlserver": _by_log_sequence,
    "db2": _by_log_sequence,
    "informix": _by_log_sequence,
    "oracle": _by_scn,
    "mongodb": _by_ordinal,
}
