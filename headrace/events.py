"""What shoppers did, as UBI 1.3 has it, ready to be written."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict
from uuid import uuid4

from headrace.changes import as_json
from headrace.errors import EventRefusedError
from schemas.search import SearchEvent
from schemas.wire import WireError, decode_event
from shared.clock import SystemClock
from shared.records import Outgoing


class EventOptions(TypedDict, total=False):
    """What an event may say beside its action; see `schemas.search.SearchEvent`."""

    product_id: str | None
    position: int | None
    """Where the product was shown, from 1."""
    query_id: str | None
    client_id: str | None
    session_id: str | None
    user_id: str | None
    user_query: str | None
    application: str | None
    timestamp: datetime | None
    """When it happened; absent: now."""
    event_id: str | None
    """What tells a repetition from another event of the same kind; absent: one is made."""


def event(action: str, options: EventOptions) -> SearchEvent:
    """Return the event; raises `EventRefusedError` when it cannot be one."""
    stated = {name: value for name, value in options.items() if value is not None}
    product_id, position = stated.pop("product_id", None), stated.pop("position", None)
    attributes: dict[str, Mapping[str, object]] = {}
    if product_id is not None:
        attributes["object"] = {"object_id": product_id}
    if position is not None:
        attributes["position"] = {"ordinal": position}
    made = {"timestamp": SystemClock().now(), "event_id": uuid4().hex}
    try:
        return decode_event(
            as_json({"action_name": action, "event_attributes": attributes, **made, **stated})
        )
    except WireError as error:
        raise EventRefusedError(error.reason, error.explanation) from error


def message(one: SearchEvent) -> Outgoing:
    """Return the event ready to be written."""
    return Outgoing(SearchEvent.topic, one.key(), one.encode())
