"""An event and the query that showed the product make an outcome; a query alone makes impressions."""

from datetime import timedelta
from typing import NamedTuple

import orjson

from schemas.base import EPOCH, MILLISECOND
from services.judgements.domain.admission import NOBODY, JoinableEvent, JoinableQuery, TrialMark
from services.judgements.domain.pages import Pages, Placed, page_of, placed
from services.judgements.domain.rules import IMPRESSION, JoinRules

DAY = timedelta(days=1) // MILLISECOND


class Joined(NamedTuple):
    """An outcome before it has its place in the outbox; `items` are (product id, position)."""

    shown: JoinableQuery
    """The page that showed them."""
    action: str
    items: tuple[tuple[str, int], ...]
    shopper: str
    moment: int
    acted: int = 0
    """When the broker appended the action; 0: nobody acted, or it is not known."""
    page: int = 0
    """Which page of its query id; 0 is the first."""
    unsaid: tuple[str, ...] = ()
    """What a further page showed, where impressions are counted from events."""


def impressions(pages: Pages, rules: JoinRules) -> Joined | None:
    """Return what the last of the pages showed, first position first; None when that does not count.

    Of an answer in a trial it must be known that it was asked for: one that shows nothing is said too.
    """
    number = len(pages) - 1
    shown = page_of(pages, number)
    items = tuple((product, at.position) for product, at in placed(pages).items() if at.page == number)
    said = items if rules.impressions == "response" else ()
    unsaid = tuple(product for product, _ in items) if number and not said else ()
    if not said and shown.trial is None:
        return None
    return Joined(shown, IMPRESSION, said, shown.shopper, shown.moment, page=number, unsaid=unsaid)


def join(pages: Pages, action: JoinableEvent, rules: JoinRules) -> Joined | None:
    """Return the outcome of an event; None when it happened too long after its query was first asked.

    The answer knows best where it showed the product; for a product that was on none of the pages the
    event's own ordinal counts, and 0 means unknown.
    """
    first = pages[0]
    if not rules.attributed(action.action, (action.moment - first.moment) * MILLISECOND):
        return None
    page, position = placed(pages).get(action.product_id, Placed(0, action.ordinal))
    item = (action.product_id, position)
    shopper = action.shopper or first.shopper
    shown = page_of(pages, page)
    return Joined(shown, action.action, (item,), shopper, action.moment, action.written, page)


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
            "trial": _trial(joined, TrialMark(*shown.trial)) if shown.trial else None,
            "event_time": EPOCH + joined.moment * MILLISECOND,
            "incarnation": incarnation,
            "origin": origin,
            "sequence": sequence,
        }
    )


def _trial(joined: Joined, mark: TrialMark) -> dict[str, object]:
    team_of = dict(zip(joined.shown.product_ids, mark.teams, strict=False))
    products = joined.unsaid or [product for product, _ in joined.items]
    return {
        "trial": mark.trial,
        "arm": mark.arm,
        "session": mark.session,
        "client": joined.shown.shopper,
        "asked_at": EPOCH + mark.asked * MILLISECOND,
        "acted_at": EPOCH + (joined.acted or mark.asked) * MILLISECOND,
        "page": joined.page,
        "products": joined.unsaid,
        "teams": "".join(team_of.get(product, NOBODY) for product in products) if mark.teams else "",
        "places": mark.places,
        "parts": [{"generation": name, "hits": hits, "took_ms": took} for name, hits, took in mark.parts],
    }


def day_of(moment: int) -> int:
    """Return the number of days since 1970, in UTC."""
    return moment // DAY
