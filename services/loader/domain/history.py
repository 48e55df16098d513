"""Logs of the past as UBI queries and events: lines of UBI, and rows of query, product, action, time.

Rows say nothing of a search but what was done after it. So rows that follow each other with the same query by
the same visitor, within half an hour, are one search; what they say was shown is its answer, in the order of
`position`. Ids are made of what a row says and where it is in its file: a file that is loaded twice counts
once.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
from pydantic import TypeAdapter, ValidationError

from schemas.base import Message
from schemas.search import SearchEvent, SearchQuery, UbiTimestamp
from schemas.wire import WireError, decode_event, decode_query
from schemas.wire.errors import shown
from services.loader.domain.columns import listed, normal
from services.loader.domain.rows import FileRow, FileUnits, LineFault, visible
from shared.errors import ConfigurationError

NAMES: Mapping[str, tuple[str, ...]] = {
    "query": (
        "query",
        "user_query",
        "search_query",
        "search_term",
        "search",
        "keyword",
        "keywords",
        "term",
        "q",
        "suchbegriff",
    ),
    "product": ("product", "product_id", "object_id", "item_id", "item", "sku", "asin", "id"),
    "action": ("action", "action_name", "event", "event_type", "event_name", "type"),
    "time": ("time", "timestamp", "event_time", "datetime", "date", "created_at", "ts"),
    "query_id": ("query_id", "search_id"),
    "client": ("client", "client_id", "visitor_id", "user_id", "user", "customer_id"),
    "session": ("session", "session_id"),
    "position": ("position", "rank", "ordinal"),
}
NEEDED = ("query", "product", "action", "time")
HITS = "query_response_hit_ids"
SEARCH_LASTS = timedelta(minutes=30)
MOST = 1000
"""Rows of one search."""
IMPRESSIONS = {"impression", "view_item_list", "shown", "item_impression", "product_impression"}

_MOMENT = TypeAdapter[datetime](UbiTimestamp)


class HistoryMade(NamedTuple):
    """What a unit of a log says, and what is wrong with it; neither: it is of another kind."""

    messages: Sequence[Message] = ()
    faults: Sequence[LineFault] = ()


@dataclass(frozen=True, slots=True)
class LogReader:
    """Makes messages of a log's rows; what happened before `oldest` counts for nothing, which is told."""

    kind: type[SearchQuery | SearchEvent]
    oldest: datetime

    def read(self, row: FileRow) -> HistoryMade:
        """Return a line of UBI as history; of the other kind, or of a bulk file's own, nothing."""
        tree = row.values.get("_source", row.values)
        if (
            type(tree) is not dict
            or is_event(tree) is not (self.kind is SearchEvent)
            or "index" in row.values
        ):
            return HistoryMade()
        content = {name: value for name, value in tree.items() if name != "ranking" and value != ""}
        if type(hits := content.get(HITS)) is str:
            content[HITS] = re.split(r"[\s,;|]+", hits.strip())
        try:
            message = (decode_event if self.kind is SearchEvent else decode_query)(orjson.dumps(content))
        except (WireError, orjson.JSONEncodeError) as error:
            reason = error if isinstance(error, WireError) else WireError("json.invalid", str(error))
            return HistoryMade((), (LineFault.of(row.line, reason),))
        return HistoryMade(*self.checked(row.line, message))

    def checked(
        self, line: int, message: SearchQuery | SearchEvent
    ) -> tuple[Sequence[Message], Sequence[LineFault]]:
        """Return the message as history, and why it will count for nothing."""
        past = message.model_copy(update={"history": True})
        reason = ""
        if isinstance(message, SearchEvent) and message.query_id is None:
            reason, fix = (
                "history.no_query",
                "it names no query: judgements are of queries, so it counts for nothing",
            )
        elif message.timestamp < self.oldest:
            reason, fix = (
                "history.too_old",
                f"before {self.oldest:%Y-%m-%d}, where the window of judgements begins: it counts nothing",
            )
        if not reason:
            return (past,), ()
        return (past,), (LineFault(line, reason, fix, value=message.timestamp.isoformat(), lost=False),)


def is_event(tree: Mapping[str, Any]) -> bool:  # Any: JSON
    """Whether a line of UBI is an event rather than a query."""
    return "action_name" in tree


class LogRow(NamedTuple):
    """A row of query, product, action, time."""

    line: int
    query: str
    product: str
    action: str
    moment: datetime
    query_id: str
    client: str
    session: str
    position: int


@dataclass(frozen=True, slots=True)
class RowReader:
    """Makes searches of rows: `columns` has the column of each name of `NAMES` that there is."""

    columns: Mapping[str, str]
    source: str
    log: LogReader

    def searches(self, units: FileUnits) -> Iterator[Sequence[LogRow] | LineFault]:
        """Yield the rows of each search, and what is wrong with lines, which is told first."""
        rows: list[LogRow] = []
        for unit in units:
            row = self._row(unit) if isinstance(unit, FileRow) else unit
            if isinstance(row, LineFault):
                yield row
                continue
            if rows and not _go_on(rows, row):
                yield rows
                rows = []
            rows.append(row)
        if rows:
            yield rows

    def read(self, rows: Sequence[LogRow]) -> HistoryMade:
        """Return the query that rows are of, and their events."""
        first = rows[0]
        seed = "\0".join((self.source, str(first.line), first.query, first.moment.isoformat()))
        query_id = first.query_id or f"h-{_digest(seed)}"
        who = {"client_id": first.client or None, "session_id": first.session or None}
        query: dict[str, Any] = {
            "query_id": query_id,
            "user_query": first.query,
            "timestamp": first.moment,
            **who,
        }
        ranked = sorted((row for row in rows if row.action in IMPRESSIONS), key=lambda row: row.position)
        if ranked:
            query[HITS] = list(dict.fromkeys(row.product for row in ranked))
        messages: list[Message] = []
        faults: list[LineFault] = []
        try:
            made = [self.log.checked(first.line, decode_query(orjson.dumps(query)))]
            made += (self._event(row, query_id, who) for row in rows if row.action not in IMPRESSIONS)
        except WireError as error:
            return HistoryMade((), (LineFault.of(first.line, error, value=first.query),))
        for past, why in made:
            messages += past
            faults += why
        return HistoryMade(messages, faults[:1])

    def _event(
        self, row: LogRow, query_id: str, who: Mapping[str, str | None]
    ) -> tuple[Sequence[Message], Sequence[LineFault]]:
        attributes: dict[str, Any] = {"object": {"object_id": row.product}}
        if row.position:
            attributes["position"] = {"ordinal": row.position}
        seed = "\0".join((query_id, str(row.line), row.product, row.action))
        event = {"action_name": row.action, "timestamp": row.moment, "query_id": query_id, **who}
        ids = {"event_id": f"h-{_digest(seed)}", "event_attributes": attributes}
        return self.log.checked(row.line, decode_event(orjson.dumps({**event, **ids})))

    def _row(self, row: FileRow) -> LogRow | LineFault:
        texts = {name: _text(row.values.get(column)) for name, column in self.columns.items()}
        for name in NEEDED:
            if not texts[name]:
                return LineFault(row.line, "field.missing", "the row lacks it", visible(self.columns[name]))
        position = texts.get("position", "")
        try:
            moment = _MOMENT.validate_python(texts["time"])
        except ValidationError:
            fix = f"{shown(texts['time'])} is no time: 2026-11-20T09:31:00Z, or seconds since 1970"
            return LineFault(row.line, "time.invalid", fix, visible(self.columns["time"]))
        return LogRow(
            row.line,
            texts["query"],
            texts["product"],
            texts["action"].lower(),
            moment,
            texts.get("query_id", ""),
            texts.get("client", ""),
            texts.get("session", ""),
            int(position) if position.isdecimal() and len(position) < 7 else 0,
        )


def columns_of(columns: Sequence[str], said: Mapping[str, str]) -> Mapping[str, str]:
    """Return the column of each name; raises `ConfigurationError` for want of one that is needed."""
    by_name = {normal(column): column for column in reversed(columns)}
    chosen = {name: said[name] for name in NAMES if said.get(name)}
    for name, likely in NAMES.items():
        column = next((by_name[one] for one in likely if one in by_name), None)
        if name not in chosen and column is not None and column not in chosen.values():
            chosen[name] = column
    if lacking := [name for name in NEEDED if chosen.get(name) not in columns]:
        raise ConfigurationError(
            f"which column is the {lacking[0]}? say it with --map {lacking[0]}=COLUMN; {listed(columns)}"
        )
    return chosen


def _go_on(rows: Sequence[LogRow], row: LogRow) -> bool:
    """Whether a row is of the search of the rows before it."""
    first = rows[0]
    if first.query_id or row.query_id:
        alike = first.query_id == row.query_id
    elif row.client or row.session:
        alike = abs(row.moment - first.moment) <= SEARCH_LASTS
    else:
        alike = abs(row.moment - first.moment) <= SEARCH_LASTS and _answers(rows, row)
    same = (first.query, first.client, first.session) == (row.query, row.client, row.session)
    return alike and same and len(rows) < MOST


def _answers(rows: Sequence[LogRow], row: LogRow) -> bool:
    """Whether a row of nobody's is of the search before it: shown next to others, or acted on there."""
    if row.action in IMPRESSIONS:
        return rows[-1].action in IMPRESSIONS
    return any(one.product == row.product and one.action in IMPRESSIONS for one in rows)


def _text(value: Any) -> str:  # Any: whatever the format has
    return "" if value is None else value.strip() if isinstance(value, str) else str(value)


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="replace"), digest_size=12).hexdigest()
