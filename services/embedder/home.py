"""A home that this process has taken over, and a product of it as it is to be stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from schemas.catalogue import ProductChange
from schemas.topics import repartition_topic
from services.embedder.domain.recovery import Proven
from services.embedder.domain.state import StoredProduct
from shared.catalogue.acceptances import NONE, Acceptances
from shared.generations.homes import home_fields
from shared.state.fenced import FencedState, StateKeys

LOGS = (ProductChange.topic, repartition_topic(ProductChange.topic))
FIELDS = {topic: home_fields(topic) for topic in LOGS}


@dataclass(slots=True)
class HomeState:
    """The state of a home that this process has taken over: how it is held for each log, by topic."""

    number: int
    logs: Mapping[str, FencedState]
    identities: dict[str, str]
    """By log, that of the topic that its offset is of; empty: not known."""
    accepted: Acceptances = NONE
    """By which the logs were read."""
    older: Mapping[str, str] = field(default_factory=dict)
    """Products that were written with older versions, see `shared.catalogue.older`."""
    unwritten: dict[str, int] = field(default_factory=dict)
    """By log, the first change of a product that nobody has written; where there is one."""
    records: int | None = None
    """The end of the index records that are in the state; None: not known."""
    published: int = 0
    """How many were published since, as far as they were acknowledged."""
    ahead: bool = False
    """Whether something may be published that is not stored."""

    @property
    def epoch(self) -> int:
        """The epoch under which it is held."""
        return self._any.epoch

    @property
    def keys(self) -> StateKeys:
        """Where it lies."""
        return self._any.keys

    @property
    def whole(self) -> bool:
        """Whether there is a state: one that has seen something."""
        return any(held.next_offset is not None for held in self.logs.values())

    def next_offset(self, topic: str) -> int | None:
        """Return the first message of a log that is not in the state; None: it has seen nothing of it."""
        return self.logs[topic].next_offset

    @property
    def proven(self) -> dict[str, Proven]:
        """By log, the offset below which the index records have all that is known, and of which topic."""
        return {
            topic: Proven(
                min(held.next_offset, self.unwritten.get(topic, held.next_offset)), self.identities[topic]
            )
            for topic, held in self.logs.items()
            if held.next_offset is not None
        }

    def verify(self, stored_epoch: bytes | str | None) -> None:
        """Raise what a write would raise if this is the epoch that is stored now."""
        self._any.verify(stored_epoch)

    @property
    def _any(self) -> FencedState:
        return self.logs[LOGS[0]]


class Write(msgspec.Struct, frozen=True, gc=False):
    """A product as it is now; `embedded` says whether its vectors changed too."""

    product_id: str
    product: StoredProduct
    embedded: bool
    unwritten: int | None = None
    """Nobody has written the product, so nothing is published: the offset of this change in its log."""
