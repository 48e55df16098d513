"""The collector's API: what is answered to whoever posts events, queries or catalogue changes.

`POST /events`, `POST /queries` and `POST /changes` take one message, a JSON array of them, or one a line.
What is refused as a whole is a `Problem` (RFC 9457), as at the search API.
"""

from typing import Annotated

from pydantic import BaseModel, Field

from schemas.api_parts import AnswerPart
from schemas.search_api import Count

MAX_BATCH = 1000
"""Messages of one request."""


class RejectedItem(AnswerPart):
    """One message of a request that was not taken, and why."""

    index: Count
    """Its place in the array, or among the lines that are not empty; from 0."""
    reason: str
    """A code of `schemas.wire.errors.REASONS`, `field.reserved` or `message.skipped`; it is never renamed."""
    explanation: str


class CollectorAnswer(AnswerPart):
    """What became of a request's messages: 202, when Kafka has acknowledged all that were accepted."""

    accepted: Annotated[int, Field(ge=1)]
    rejected: tuple[RejectedItem, ...]


CONTRACTS: tuple[type[BaseModel], ...] = (CollectorAnswer,)
"""What goes over the wire as a whole; each has a golden sample `collector_api.NAME.json`."""
