"""Further pages: records of one query id whose list goes on.

`POST /search` knows no offsets. For page two a front end asks again with the same query id and a larger `k`,
and the record says the whole list, from place 1: what lies behind the end of the record before it is what the
page shows, at the places that it has in the list. A product counts once, where it was shown first; a record
whose list is no longer is a duplicate.
"""

from collections.abc import Sequence
from typing import NamedTuple

from services.judgements.domain.admission import JoinableQuery, TrialMark

Pages = Sequence[JoinableQuery]
"""The records of one query id that count, in the order of their log; never none."""


class Placed(NamedTuple):
    """Where a product was shown: on which page, from 0, and at which position of the whole list, from 1."""

    page: int
    position: int


def goes_on(before: JoinableQuery, record: JoinableQuery) -> bool:
    """Whether a record shows more of the list that the one before it showed to the same shopper.

    Another text, generation, shopper or session in a trial is another answer under a query id that is taken.
    """
    return _asked(before) == _asked(record) and len(record.product_ids) > len(before.product_ids)


def placed(pages: Pages) -> dict[str, Placed]:
    """Return where each product was shown first, in the order of positions."""
    places: dict[str, Placed] = {}
    start = 0
    for number, page in enumerate(pages):
        for position, product_id in enumerate(page.product_ids[start:], start + 1):
            places.setdefault(product_id, Placed(number, position))
        start = len(page.product_ids)
    return places


def page_of(pages: Pages, number: int) -> JoinableQuery:
    """Return a page whose part in a trial is that of what it adds.

    Teams count while the draft goes on: two drafts, one behind the other, would not be fair to both sides.
    """
    page = pages[number]
    if number == 0 or page.trial is None:
        return page
    return page._replace(trial=_added(pages[number - 1], page, TrialMark(*page.trial)))


def _added(before: JoinableQuery, page: JoinableQuery, mark: TrialMark) -> TrialMark:
    known = None if before.trial is None else TrialMark(*before.trial)
    begins_alike = page.product_ids[: len(before.product_ids)] == before.product_ids
    if known is None or not (known.teams and begins_alike and mark.teams.startswith(known.teams)):
        return mark._replace(teams="", places=(0, 0))
    live, candidate = (max(0, now - then) for now, then in zip(mark.places, known.places, strict=True))
    return mark._replace(places=(live, candidate))


def _asked(record: JoinableQuery) -> tuple[object, ...]:
    trial = None if record.trial is None else tuple(record.trial[:3])
    return record.query, record.generation, record.shopper, trial
