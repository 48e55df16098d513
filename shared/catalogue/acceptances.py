"""On which timeline a change is: of the source's own versions before it was restored, or of those after.

A database that is restored, or a producer that counts from 1 again, goes on with versions that it had used.
What it writes is then older than what is known, and changes nothing, as long as nobody says that it counts:
that is an *acceptance*, of a source from a time of the broker's on. A change that was appended then or later
is of the timeline that begins there (of several the last one), and higher in its line than all of earlier
ones.

Acceptances are only ever added, and a change is on the timeline that they and its own place say. So a reader
who learns of one late reads again from there, puts what it has on its timeline
(`shared.catalogue.documents.on_timelines`), and has what it would have had.
"""

from functools import lru_cache
from typing import NamedTuple

from schemas.base import milliseconds
from schemas.catalogue import Acceptance, Appended
from schemas.wire.stamps import APPEND, TOMBSTONE


class Accepted(NamedTuple):
    """A source, and when its timeline begins, in milliseconds since 1970."""

    source: str
    since: int

    @classmethod
    def by(cls, message: Acceptance) -> "Accepted":
        """Return what the message says."""
        return cls(message.source, milliseconds(message.since))

    def covers(self, line: str) -> bool:
        """Whether a line of versions is of the source."""
        return line == self.source or line.startswith(f"{self.source}/")


Acceptances = frozenset[Accepted]
NONE: Acceptances = frozenset()


def timeline_of(line: str, appended: Appended, acceptances: Acceptances) -> int:
    """Return when the timeline of a change began; 0: it is of the first one.

    Where a change lies is never a version of before: such lines have one timeline.
    """
    if not acceptances or line in (APPEND, TOMBSTONE):
        return 0
    return max((0, *(since for since in _beginnings(line, acceptances) if since <= appended.milliseconds)))


@lru_cache(maxsize=4096)
def _beginnings(line: str, acceptances: Acceptances) -> tuple[int, ...]:
    return tuple(accepted.since for accepted in acceptances if accepted.covers(line))
