"""What accepting a source anew means for what it has written since."""

from collections import Counter
from dataclasses import dataclass, field

from schemas.catalogue import StampedChange
from shared.catalogue.acceptances import Accepted

Rank = tuple[int, tuple[int, ...]]


@dataclass(slots=True)
class SourceSurvey:
    """The changes of a source that lie at or after where it counts anew, on their timelines already."""

    accepted: Accepted
    lines: Counter[str] = field(default_factory=Counter)
    products: set[str] = field(default_factory=set)
    older: int = 0
    """Changes that are lower than one of their product that was appended before them, since then too: that
    is where the versions went back, and the source is to be accepted from there on."""
    _highest: dict[tuple[str, str], Rank] = field(default_factory=dict)

    @property
    def changes(self) -> int:
        """How many there are."""
        return self.lines.total()

    def take(self, change: StampedChange) -> None:
        """Take the next change of its partition, if it is one of the source's."""
        line, *_ = change.stamp
        if not self.accepted.covers(line) or change.stamp.appended.milliseconds < self.accepted.since:
            return
        self.lines[line] += 1
        self.products.add(change.product_id)
        rank, subject = (change.stamp.timeline, change.stamp.version), (line, change.product_id)
        known = self._highest.get(subject, rank)
        self.older += rank < known
        self._highest[subject] = max(rank, known)
