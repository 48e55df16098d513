"""How long an id is waited for that the registry does not know (yet)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from shared.schema_registry.framing import SchemaId

REMEMBERED = 10_000
WINDOW = 6
HALVINGS = 10
"""After so many ids the next one is not waited for at all."""


@dataclass(slots=True)
class Patience:
    """`limit` for the first id, half of it for the next, and so on: twice `limit` in all, within six of it.

    So a schema that is only late is waited for, and rubbish, each piece with another id, stops nothing for
    long. An id that was given up is given up at once when it comes again.
    """

    limit: timedelta
    _asked: dict[SchemaId, datetime] = field(default_factory=dict)
    _given_up: dict[SchemaId, datetime] = field(default_factory=dict)

    def is_over(self, schema_id: SchemaId, now: datetime) -> bool:
        """Whether the id, still unknown at `now`, is no longer waited for."""
        if schema_id in self._given_up:
            return True
        last = islice(reversed(self._given_up.values()), HALVINGS)
        recently = sum(at > now - WINDOW * self.limit for at in last)
        waited = now - self._asked.setdefault(schema_id, now)
        return recently == HALVINGS or waited >= self.limit / float(2**recently)

    def give_up(self, schema_id: SchemaId, now: datetime) -> None:
        """Wait for this id no longer."""
        self._asked.pop(schema_id, None)
        self._given_up.setdefault(schema_id, now)
        while len(self._given_up) > REMEMBERED:
            del self._given_up[next(iter(self._given_up))]

    def known(self, schema_id: SchemaId) -> None:
        """Forget that the id was unknown."""
        self._asked.pop(schema_id, None)
        self._given_up.pop(schema_id, None)
