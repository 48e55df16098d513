"""An event and the query that showed the product make an outcome; a query alone makes impressions."""

from datetime import timedelta
from typing import NamedTuple

import orjson

from schemas.base import EPOCH, MILLISECOND
from services.judgements.domain.admission import JoinableEvent, JoinableQuery
from services.judgements.domain.rules import IMPRESSION, JoinRules

DAY = timedelta(days=1) // MILLISECOND


class Joined(NamedTuple):
    """An outcome before it has its place in the outbox; `items` are (product id, position)."""

    shown: JoinableQuery
    action: str
    items: tuple[tuple[str, int], ...]
    shopper: str
    moment: int


def impressions(shown: JoinableQuery, rules: JoinRules) -> Joined | None:
    """Return what the answer showed, first position first; None when that does not count."""
    if rules.impressions == "events" or not shown.product_ids:
        return None
    items = tuple((product_id, position) for position, product_id in enumerate(shown.product_ids, 1))
    return Joined(shown, IMPRESSION, items, shown.shopper, shown.moment)


def join(shown: JoinableQuery, action: JoinableEvent, rules: JoinRules) -> Joined | None:
    """Return the outcome of an event; None when it happened too long after its query.

    The answer knows best where it showed the product; for a product that was not in the answer the
    event's own ordinal counts, and 0 means unknown.
    """
    if not rules.attributed(action.action, (action.moment - shown.moment) * MILLISECOND):
        return None
    try:
        position = shown.product_ids.index(action.product_id) + 1
    except ValueError:
        position = action.ordinal
    item = (action.product_id, position)
    return Joined(shown, action.action, (item,), action.shopper or shown.shopper, action.moment)


def encode_outcome(joined: Joined, *, incarnation: int, origin: int, sequence: int) -> bytes:
    """Return the `Outcome` message as JSON; without the model, because there is one for every event."""
    shown = joined.shown
    return orjson.dumps(
        {
            "query": shown.query,
            "user_query": shown.user_query,
            "query_id": shown.query_id,
            "action": joined.action,
            "items": [{"product_id": product, "position": position} for product, position in joined.items],
            "shopper": joined.shopper,
            "generation": shown.generation,
            "event_time": EPOCH + joined.moment * MILLISECOND,
            "incarnation": incarnation,
            "origin": origin,
            "sequence": sequence,
        }
    )


def day_of(moment: int) -> int:
    """Return the number of days since 1970, in UTC."""
    return moment // DAY
