"""Whether what was mined was right: what shoppers did with published negatives since they were mined."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Self

from schemas.base import EPOCH, MILLISECOND, milliseconds
from services.negatives.domain.evidence import RelevanceEvidence


@dataclass(frozen=True, slots=True)
class WatchedNegative:
    """When a negative was first mined, and the actions that an average product had been expected to get."""

    since: datetime
    expected: float = 0.0

    def pack(self) -> str:
        """Return it as text."""
        return f"{milliseconds(self.since)} {self.expected}"

    @classmethod
    def unpack(cls, packed: str) -> Self:
        """Read what `pack` wrote."""
        since, expected = packed.split()
        return cls(EPOCH + int(since) * MILLISECOND, float(expected))

    def after(self, evidence: RelevanceEvidence | None) -> "WatchedNegative":
        """Return it with what is now known of the time before: a judgement of then may be read late."""
        if evidence is None or evidence.made_at > self.since:
            return self
        return WatchedNegative(self.since, evidence.expected)

    def expected_since(self, evidence: RelevanceEvidence) -> float:
        """Return the actions that an average product would have got since; of a window that moves, at least.

        What was expected before leaves the window first: once all of it has, everything is of since then.
        """
        if evidence.window_start > self.since.date():
            return evidence.expected
        return max(0.0, evidence.expected - self.expected)


class NegativePrecision(NamedTuple):
    """Of published negatives, those that were looked at enough, and of these the ones acted upon."""

    looked_at: int = 0
    acted_upon: int = 0

    @property
    def share(self) -> float | None:
        """Return the share that shoppers went on to skip; None when none was looked at enough."""
        return 1 - self.acted_upon / self.looked_at if self.looked_at else None


Watched = Mapping[str, WatchedNegative]
"""Those of one query, by product id."""
Evidence = Mapping[str, RelevanceEvidence]


def watch(
    watched: Watched, published: Collection[str], *, evidence: Evidence, now: datetime
) -> dict[str, WatchedNegative]:
    """Return what is watched from now on: what is published, and what was and is judged of.

    What was taken back is watched on, whatever the reason: else only the right ones could be forgotten.
    """
    kept = {
        product_id: negative.after(evidence.get(product_id))
        for product_id, negative in watched.items()
        if product_id in published or product_id in evidence
    }
    new = {product_id: _begin(evidence.get(product_id), now) for product_id in published}
    return new | kept


def measure(watched: Watched, evidence: Evidence, enough: float) -> NegativePrecision:
    """Return the precision of one query's negatives: a function of what is watched and what is judged now.

    `enough` is how many actions must have been expected since a negative was mined; and for each that it got,
    and one more, so many must have been: else it counts as acted upon.
    """
    looked_at = [
        evidence[product_id]
        for product_id, negative in watched.items()
        if product_id in evidence and negative.expected_since(evidence[product_id]) >= enough
    ]
    return NegativePrecision(
        len(looked_at), sum(not of_product.is_skipped(enough) for of_product in looked_at)
    )


def _begin(evidence: RelevanceEvidence | None, now: datetime) -> WatchedNegative:
    return WatchedNegative(now, evidence.expected if evidence else 0.0)
