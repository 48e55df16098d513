"""Which queries and events count at all: time, lateness, robots' marks, actions, identity.

Everything here depends on the message, its Kafka timestamp and the *stream's clock*: the latest event
time seen before it in its own partition. All three are the same when a partition is read again, so a
replay (and the offline recount) decides as the first reading did.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple

from schemas.base import MILLISECOND, milliseconds
from schemas.search import SearchEvent, SearchQuery
from services.judgements.domain.rules import JoinRules
from shared.catalogue.query_text import normalise
from shared.generations.teams import telling

HOUR = timedelta(hours=1) // MILLISECOND
AHEAD = timedelta(minutes=5) // MILLISECOND
NOBODY = "-"
"""The team of what the answer did not show, and of what either ranking would have shown there."""


class TrialMark(NamedTuple):
    """How an answer took part in a trial; times in ms, `parts` as (generation, hits, ms that it took)."""

    trial: str
    arm: str
    session: str
    asked: int
    """When the broker appended the answer: the clock that all its actions share."""
    teams: str
    """Of the products as they are remembered, in order; `-` where a coin decided whose a product is."""
    places: tuple[int, int]
    """What the live generation's team drafted, and the candidate's."""
    parts: tuple[tuple[str, int, float], ...]


class JoinableQuery(NamedTuple):
    """A query as far as a join needs it: what was asked, what was shown, to whom, when (ms)."""

    query: str
    user_query: str
    query_id: str
    generation: str | None
    moment: int
    shopper: str
    product_ids: tuple[str, ...]
    trial: TrialMark | None = None


class JoinableEvent(NamedTuple):
    """An event as far as a join needs it; `ordinal` is the position that the event itself claims.

    `written` is when the broker appended it; 0: not known, it was remembered before this was.
    """

    action: str
    product_id: str
    ordinal: int
    moment: int
    shopper: str
    written: int = 0


@dataclass(frozen=True, slots=True)
class AdmittedQuery:
    """A query to remember. `mark` says why its events do not count: robot, blank, or empty."""

    shown: JoinableQuery
    mark: str
    late: bool
    hour: int
    limited: str = ""
    """Whose messages of that hour are counted against the robots' limit; empty: nobody's."""


@dataclass(frozen=True, slots=True)
class AdmittedEvent:
    """An event to join; `identity` is equal for deliveries of the same event of one query."""

    query_id: str
    identity: str
    action: JoinableEvent
    hour: int
    limited: str = ""
    """As of a query."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that does not count, and why: late, robot, ignored, no_query, no_product."""

    reason: str


def event_time(claimed: datetime, written: datetime, rules: JoinRules) -> int:
    """Return the event's time in ms, within [written - retention, written + 5 minutes]."""
    at = milliseconds(written)
    return min(max(milliseconds(claimed), at - rules.retention // MILLISECOND), at + AHEAD)


class StreamClock:
    """The latest event time seen in one partition, in ms; lateness is measured against it."""

    def __init__(self, rules: JoinRules, now: int = 0) -> None:
        self._grace = rules.grace // MILLISECOND
        self.now = now

    def late(self, moment: int) -> bool:
        """Advance to `moment`, and return whether it came later than the grace allows."""
        self.now = max(self.now, moment)
        return self.now - moment > self._grace

    @property
    def hour(self) -> int:
        """The hour since 1970 in which a shopper's events are counted against the robots' limit."""
        return self.now // HOUR


def admit_query(
    query: SearchQuery, written: datetime, *, rules: JoinRules, clock: StreamClock
) -> AdmittedQuery:
    """Return what to remember of a query; advances the clock.

    History does not: it lies behind, and is not late. Nor do the robots' limits of an hour hold for it,
    which are those of the stream's clock.
    """
    moment = event_time(query.timestamp, written, rules)
    late = not query.history and clock.late(moment)
    text = normalise(query.user_query)
    robot = rules.is_robot(query.client_id, query.user_id, query.application)
    shown = JoinableQuery(
        query=text,
        user_query=query.user_query,
        query_id=query.query_id,
        generation=query.ranking.generation if query.ranking else None,
        moment=moment,
        shopper=rules.shopper(query.client_id, query.user_id, query.session_id),
        product_ids=tuple(dict.fromkeys(query.query_response_object_ids[: rules.depth])),
        trial=trial_mark(query, written, rules),
    )
    mark = "robot" if robot else "" if text else "blank"
    return AdmittedQuery(shown, mark, late, clock.hour, "" if query.history else shown.shopper)


def trial_mark(query: SearchQuery, written: datetime, rules: JoinRules) -> TrialMark | None:
    """Return how the answer took part in a trial; None: in none.

    Of a product that is in an answer twice the first place counts, as for its impression.
    """
    answer = query.ranking.trial if query.ranking else None
    if answer is None:
        return None
    drafted = telling(answer.teams, answer.ranks) if len(answer.teams) == len(answer.ranks) else answer.teams
    first = dict(reversed([*zip(query.query_response_object_ids, drafted, strict=False)]))
    shown = dict.fromkeys(query.query_response_object_ids[: rules.depth])
    return TrialMark(
        trial=answer.trial,
        arm=answer.arm,
        session=rules.shopper(query.session_id, query.client_id),
        asked=milliseconds(written),
        teams="".join(first.get(product, NOBODY) for product in shown) if answer.teams else "",
        places=(answer.teams.count("A"), answer.teams.count("B")),
        parts=tuple((part.generation, part.hits, part.took_ms) for part in answer.parts),
    )


def admit_event(
    event: SearchEvent, written: datetime, *, rules: JoinRules, clock: StreamClock
) -> AdmittedEvent | Refused:
    """Return the event ready to be joined, or why it does not count; advances the clock as a query does."""
    moment = event_time(event.timestamp, written, rules)
    if not event.history and clock.late(moment):
        return Refused("late")
    if rules.is_robot(event.client_id, event.user_id, event.application):
        return Refused("robot")
    if event.query_id is None:
        return Refused("no_query")
    if (action := rules.action_of(event.action_name)) is None:
        return Refused("ignored")
    attributes = event.event_attributes
    if attributes.object is None or attributes.object.object_id is None:
        return Refused("no_product")
    ordinal = (attributes.position.ordinal if attributes.position else None) or 0
    shopper = rules.shopper(event.client_id, event.user_id, event.session_id)
    at = milliseconds(written)
    done = JoinableEvent(action, attributes.object.object_id, ordinal, moment, shopper, at)
    limited = "" if event.history else shopper
    return AdmittedEvent(event.query_id, identity(event, done), done, clock.hour, limited)


def identity(event: SearchEvent, action: JoinableEvent) -> str:
    """Return what tells a second delivery from a second event, among the events of one query.

    The producer's `event_id`; without one, client, action, product and the claimed time together: the broker
    appends each delivery at a time of its own, to which a claim that lies ahead is bound.
    """
    if event.event_id is not None:
        return _digest("id", event.event_id)
    client = event.client_id or event.session_id or event.user_id or ""
    return _digest("of", client, action.action, action.product_id, str(milliseconds(event.timestamp)))


def _digest(*parts: str) -> str:
    return blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()
