"""What was asked and what was shown (UBI 1.3 query), and what shoppers then did (UBI 1.3 event)."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints

from schemas.base import Fingerprint, GenerationName, Message, ProductId, Score, Timestamp, Value

UbiText = Annotated[str, StringConstraints(min_length=1, max_length=100)]
UserQuery = Annotated[str, StringConstraints(max_length=2048)]


class Ranking(Value):
    """How Headrace produced an answer; beside the UBI fields, absent for other search front ends."""

    generation: GenerationName
    fingerprint: Fingerprint
    mode: str
    scores: tuple[Score, ...] = ()
    partial: bool = False
    took_ms: Annotated[float, Field(ge=0)] = 0.0


class SearchQuery(Message):
    """A query and the ranked ids that answered it (UBI 1.3 query record, plus `ranking`)."""

    topic: ClassVar[str] = "search.queries.v1"

    query_id: UbiText
    user_query: UserQuery
    timestamp: Timestamp
    application: UbiText | None = None
    client_id: UbiText | None = None
    session_id: UbiText | None = None
    user_id: UbiText | None = None
    object_id_field: UbiText | None = None
    query_attributes: Mapping[str, Any] = {}  # Any: UBI leaves its content to the application
    query_response_id: UbiText | None = None
    query_response_object_ids: tuple[ProductId, ...] = ()
    ranking: Ranking | None = None

    def key(self) -> bytes:
        """Return the query id, so that a query and its events share a partition."""
        return self.query_id.encode()


class EventObject(Value):
    """The thing acted on; `object_id` is the product."""

    object_id: ProductId | None = None
    object_id_field: str | None = None


class Position(Value):
    """Where it was shown; `ordinal` counts from 1."""

    ordinal: Annotated[int, Field(ge=0, le=100_000)] | None = None


class EventAttributes(Value):
    """UBI event attributes; everything else an application adds is accepted and ignored."""

    object: EventObject | None = None
    position: Position | None = None


class SearchEvent(Message):
    """One action of a shopper (UBI 1.3 event, plus the optional `event_id`)."""

    topic: ClassVar[str] = "search.events.v1"

    action_name: UbiText
    timestamp: Timestamp
    query_id: UbiText | None = None
    event_id: UbiText | None = None
    application: UbiText | None = None
    client_id: UbiText | None = None
    session_id: UbiText | None = None
    user_id: UbiText | None = None
    user_query: UserQuery | None = None
    message_type: UbiText | None = None
    message: str | None = None
    event_attributes: EventAttributes = EventAttributes()

    def key(self) -> bytes:
        """Return the query id (the client's id for an event without a query)."""
        return (self.query_id or self.client_id or "").encode()
