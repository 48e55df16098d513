"""What was asked and what was shown (UBI 1.3 query), and what shoppers then did (UBI 1.3 event).

User Behavior Insights 1.3.0, https://o19s.github.io/ubi/schema/1.3.0/. Where writers in the field differ
from it, these readers are the wider: times may be numbers or lack an offset (then UTC), null stands for
absent, empty ids too, `event_attributes` needs no `position`.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints

from schemas.base import (
    MAX_TEXT_BYTES,
    Fingerprint,
    GenerationName,
    Identifier,
    Message,
    ProductId,
    Score,
    Value,
    is_product_id,
)

MAX_ORDINAL = 100_000


def foreign_id(value: Any) -> Any:  # Any: pydantic judges what is neither text nor a number
    """Return a UBI object id (any text up to 256, or an integer) as a product id.

    One that can be a product id stays as it is. Another is percent-encoded, and cut with a digest when
    that is too long: the same in a query and in its events, so they still join and positions still hold.
    """
    if type(value) is int:
        return str(value)
    if type(value) is not str or is_product_id(value):
        return value
    encoded = quote(value, safe="!#$&'()*+,/:;=?@[]")
    if value and len(encoded) <= 128:
        return encoded
    return f"{encoded[:95]}~{hashlib.sha256(value.encode()).hexdigest()[:32]}"


def _utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time is before the year 1 or after 9999 in UTC") from error


def _or_none(value: Any) -> Any:  # Any: pydantic judges the rest
    return None if value == "" else value


def _or_empty(value: Any) -> Any:  # Any: pydantic judges the rest
    return {} if value is None else value


def _in_range(ordinal: Any) -> Any:  # Any: pydantic judges the rest
    return None if type(ordinal) is int and not 0 <= ordinal <= MAX_ORDINAL else ordinal


UbiTimestamp = Annotated[datetime, AfterValidator(_utc)]
"""ISO 8601, or a number of seconds or milliseconds since 1970; without an offset it is UTC."""

UbiText = Annotated[str, StringConstraints(max_length=100, pattern=r"^[^\x00]*$")]
QueryId = Annotated[UbiText, Field(min_length=1)]
OptionalText = Annotated[UbiText | None, BeforeValidator(_or_none)]
UserQuery = Annotated[str, StringConstraints(max_length=MAX_TEXT_BYTES)]
ObjectId = Annotated[ProductId, BeforeValidator(foreign_id)]


Rank = Annotated[int, Field(ge=0, le=1000)]


class TrialPart(Value):
    """What one generation found for an interleaved answer, and how long that took."""

    generation: GenerationName
    hits: Annotated[int, Field(ge=0)]
    took_ms: Annotated[float, Field(ge=0)] = 0.0


class TrialAnswer(Value):
    """How an answer took part in the trial of a generation.

    Of the sessions that are not interleaved the same is said: they are what the trial is held against.
    """

    trial: Identifier
    arm: Literal["interleaved", "rest"]
    teams: Annotated[str, StringConstraints(pattern=r"^[AB]*$", max_length=1000)] = ""
    """Whose each hit is, in order: `A` the live generation's, `B` the candidate's. Empty when nothing was
    drafted: in the rest, and when one of the two could not answer."""
    ranks: Annotated[tuple[tuple[Rank, Rank], ...], Field(max_length=1000)] = ()
    """Of each hit its rank in the live generation's first `k` and in the candidate's, from 1; 0: it is not
    there. What both would have shown next was drafted by a coin, and tells nothing of either."""
    parts: tuple[TrialPart, ...] = ()
    """The live generation's and the candidate's; one that could not answer is left out."""


class Ranking(Value):
    """How Headrace produced an answer; beside the UBI fields, absent for other search front ends."""

    generation: GenerationName
    fingerprint: Fingerprint
    mode: str
    scores: tuple[Score, ...] = ()
    """What each hit is ranked by in its own generation: those of two teams do not compare."""
    similarities: tuple[Score, ...] = ()
    """Of those hits that the vector search found, in order: their cosine with the query. In an interleaved
    or explored answer, of the hits that the live generation alone would have shown."""
    vector: Annotated[str, Field(pattern="^[A-Za-z0-9+/]*={0,2}$", max_length=32 * 1024)] = ""
    """Of a sample of the queries, the unit vector that was searched with: base64 of little-endian float16."""
    partial: bool = False
    took_ms: Annotated[float, Field(ge=0)] = 0.0
    trial: TrialAnswer | None = None
    """While a trial runs, and when the answer has a session or a client."""
    explored: Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(max_length=1000)] = ()
    """Places, from 1, of hits that are ranked deeper and are shown to learn what shoppers think of them."""


class SearchQuery(Message):
    """A query and the ranked ids that answered it (UBI 1.3 query record, plus `ranking`).

    On the wire the ids are `query_response_hit_ids`, as UBI 1.3 calls them; the name of earlier versions,
    `query_response_object_ids`, is read as well.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    topic: ClassVar[str] = "search.queries.v1"

    query_id: QueryId
    user_query: UserQuery
    timestamp: UbiTimestamp
    application: OptionalText = None
    client_id: OptionalText = None
    session_id: OptionalText = None
    user_id: OptionalText = None
    object_id_field: OptionalText = None
    query_attributes: Annotated[Mapping[str, Any], BeforeValidator(_or_empty)] = {}  # Any: as UBI leaves it
    query_response_id: Annotated[str | None, BeforeValidator(_or_none)] = None
    query_response_object_ids: Annotated[tuple[ObjectId, ...], Field(alias="query_response_hit_ids")] = ()
    ranking: Ranking | None = None
    history: bool = False
    """It was loaded from a log of the past: it counts at its own time, and is never late."""

    @property
    def found(self) -> int | None:
        """How many products the generation that answers found; None: its front end did not say.

        Of an interleaved answer that is what the live generation alone would have shown.
        """
        if self.ranking is None and "query_response_object_ids" not in self.model_fields_set:
            return None
        parts = self.ranking.trial.parts if self.ranking and self.ranking.trial else ()
        own = (part.hits for part in parts if self.ranking and part.generation == self.ranking.generation)
        return next(own, len(self.query_response_object_ids))

    def key(self) -> bytes:
        """Return the query id, so that a query and its events share a partition."""
        return self.query_id.encode()


class EventObject(Value):
    """The thing acted on; `object_id` is the product."""

    object_id: Annotated[ObjectId | None, BeforeValidator(_or_none)] = None
    object_id_field: OptionalText = None


class Position(Value):
    """Where it was shown; `ordinal` counts from 1, and is None when it cannot be a position."""

    ordinal: Annotated[Annotated[int, Field(ge=0, le=MAX_ORDINAL)] | None, BeforeValidator(_in_range)] = None


class EventAttributes(Value):
    """UBI event attributes; everything else an application adds is accepted and ignored."""

    object: EventObject | None = None
    position: Position | None = None


class SearchEvent(Message):
    """One action of a shopper (UBI 1.3 event, plus the optional `event_id`)."""

    topic: ClassVar[str] = "search.events.v1"

    action_name: UbiText
    timestamp: UbiTimestamp
    query_id: OptionalText = None
    event_id: OptionalText = None
    application: OptionalText = None
    client_id: OptionalText = None
    session_id: OptionalText = None
    user_id: OptionalText = None
    user_query: UserQuery | None = None
    message_type: OptionalText = None
    message: str | None = None
    event_attributes: Annotated[EventAttributes, BeforeValidator(_or_empty)] = EventAttributes()
    history: bool = False
    """As of a query."""

    def key(self) -> bytes:
        """Return the query id (the client's id for an event without a query)."""
        return (self.query_id or self.client_id or "").encode()
