"""From queries and events to judgements: one outcome an action, one judgement a (query, product)."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.base import GenerationName, Identifier, Message, Offset, ProductId, Score, Timestamp, Value
from schemas.search import TrialPart

Count = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


OBJECTIVE: Mapping[str, float] = {
    "click": 1.0,
    "add_to_cart": 3.0,
    "favourite": 2.0,
    "share": 2.0,
    "store_visit": 5.0,
    "purchase": 10.0,
}
"""What each action is worth to a business that says nothing else."""


class Item(Value):
    """A product at the position (from 1; 0 when unknown) where it was shown."""

    product_id: ProductId
    position: Annotated[int, Field(ge=0, le=100_000)] = 0


class OutcomeTrial(Value):
    """How the answer that an outcome belongs to took part in the trial of a generation.

    Every outcome of an answer says all that a trial needs of the answer: so they may come in any order, any
    number of times, and joined anew.
    """

    trial: Identifier
    arm: Literal["interleaved", "rest"]
    session: str
    """Sixteen hexadecimal digits of a keyed hash of the session; of the client when there is none."""
    client: str = ""
    """Likewise of the shopper who asked; empty when unknown."""
    asked_at: Timestamp
    """When the broker appended the answer."""
    acted_at: Timestamp
    """Likewise the action; of the answer itself, `asked_at`."""
    page: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Which of the answers of its query id it belongs to: 0 the first, then further pages."""
    products: tuple[ProductId, ...] = ()
    """What a further page showed, where its impressions are counted from events, and it has no items."""
    teams: str = ""
    """Whose each of the outcome's items (or of these products) was, in order: `A` the live generation's, `B`
    the candidate's, `-` nobody's: both would have placed it next, or the answer did not show it. Empty:
    nothing was drafted, or not as the page before it was."""
    places: tuple[Count, Count] = (0, 0)
    """Of the page: how many the live generation's team has, and the candidate's."""
    parts: tuple[TrialPart, ...] = ()
    """Of the page: what each generation found, and how long that took."""

    @property
    def interleaved(self) -> bool:
        """Whether both generations gave the page."""
        return len(self.parts) > 1


class Outcome(Message):
    """An action joined to the query that showed the product; `impression` lists all that was shown.

    `(origin, sequence)` is the outbox position of the join that wrote it: outcomes of one origin arrive
    in sequence order, possibly again, so a reader applies one only when its sequence is new. When the
    joins' state was lost, everything is joined again under a new `incarnation`; a reader counts those of
    the current incarnation only.
    """

    topic: ClassVar[str] = "search.outcomes.v1"

    query: str
    """The normalised query."""
    user_query: str
    query_id: str
    action: str
    items: tuple[Item, ...]
    shopper: str = ""
    """Sixteen hexadecimal digits of a keyed hash of the shopper; empty when unknown."""
    generation: GenerationName | None = None
    trial: OutcomeTrial | None = None
    event_time: Timestamp
    incarnation: Offset = 0
    origin: Annotated[int, Field(ge=0)]
    sequence: Offset

    def key(self) -> bytes:
        """Return the normalised query."""
        return self.query.encode()


class ActionStatistics(Value):
    """One action of one (query, product) in the window.

    `expected` is what an average product gets that is looked at as often, given the positions shown at;
    `prior` is what the ranking alone says: the attraction of products with the same share of their query's
    looks, where 1 is the average; `rate` is `(w * prior + count) / (w + expected)`; `low` and `high` bound
    it at 95 %.
    """

    count: Count
    expected: Rate = 0.0
    prior: Rate = 1.0
    rate: Rate = 1.0
    low: Rate = 0.0
    high: Rate = 0.0


class Judgement(Message):
    """What shoppers' behaviour in the rolling window says about one product for one query.

    `value` weighs the rates by the configured objective; `grade` is `value` bounded to 0 .. 3.
    """

    topic: ClassVar[str] = "search.judgements.v1"

    query: str
    product_id: ProductId
    window_start: date
    window_end: date
    impressions: Count
    shoppers: Count
    actions: Mapping[str, ActionStatistics] = {}
    value: Rate
    grade: Annotated[float, Field(ge=0, le=3, allow_inf_nan=False)]
    updated_at: Timestamp

    def key(self) -> bytes:
        """Return query and product, separated by a tab (which neither contains)."""
        return f"{self.query}\t{self.product_id}".encode()


class Canary(Message):
    """A query whose right products are known; run against every generation."""

    topic: ClassVar[str] = "canaries.v1"

    canary_id: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
    query: Annotated[str, Field(min_length=1, max_length=2048)]
    product_ids: Annotated[tuple[ProductId, ...], Field(min_length=1, max_length=1000)]
    k: Annotated[int, Field(ge=1, le=1000)] = 10
    minimum_recall: Annotated[float, Field(ge=0, le=1)] | None = None
    """Alert below this recall@k; absent: below the canary's own baseline."""

    def key(self) -> bytes:
        """Return the canary's id."""
        return self.canary_id.encode()


class Negative(Message):
    """A product that ranks high for a query and is not relevant to it."""

    topic: ClassVar[str] = "training.negatives.v1"

    query: str
    product_id: ProductId
    difficulty: Annotated[str, Field(pattern="^(easy|medium|hard)$")]
    score: Score
    positive_score: Score
    rank: Annotated[int, Field(ge=1)]
    """The better of its ranks by vector and by words."""
    skipped: bool = False
    """Whether shoppers looked at it often and never acted on it."""
    source: Annotated[str, Field(pattern="^(dense|lexical|both)?$")] = ""
    """Which search found it."""
    partition: Annotated[int, Field(ge=0)] | None = None
    """Where its record lies in the generation's `index.records`; with `offset`."""
    offset: Offset | None = None
    generation: GenerationName
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    mined_at: Timestamp

    def key(self) -> bytes:
        """Return query and product, separated by a tab."""
        return f"{self.query}\t{self.product_id}".encode()
