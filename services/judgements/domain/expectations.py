"""What may be expected of a product before its own actions are seen: fitted once, used for every pair.

Three things: how often each position is looked at, how many actions an average product gets per look,
and how much better a product is when the ranking gives it more of its query's looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, log
from typing import NamedTuple, TypeVar

import orjson

TOP = 1
"""The first position."""
LEAST_SHARE = 1e-4
MIDDLE = 0.1
"""The share of looks, beside 1, at which two trends are compared."""

Key = TypeVar("Key")


class AttractionPrior(NamedTuple):
    """What an average product with a share of its query's looks attracts: `exp(level) * share ** slope`."""

    level: float = 0.0
    slope: float = 0.0

    def at(self, share: float) -> float:
        """Return the attraction; 1 is the average over all looks."""
        return exp(self.level + self.slope * log(share))


def share_of(looks: float, searches: int) -> float:
    """Return the share of a query's looks that a product got: 1 when every answer showed it first."""
    return min(max(looks / searches, LEAST_SHARE), 1.0) if searches else 1.0


@dataclass(frozen=True, kw_only=True)
class Expectations:
    """The result of a fit. Judgements of equal `version` are held against the same expectations."""

    looks: Mapping[int, float] = field(default_factory=dict)
    """Looks an impression at a position, as a multiple of the first position's."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Actions a look of all products together, for each action."""
    trends: Mapping[str, AttractionPrior] = field(default_factory=dict)
    """For each action."""
    version: int = 0

    def looked(self, impressions: Mapping[int, int]) -> float:
        """Return the looks at so many impressions; an unknown position counts as the worst known one."""
        worst = min(self.looks.values(), default=1.0)
        return sum(number * self.looks.get(position, worst) for position, number in impressions.items())

    def encode(self) -> bytes:
        """Return it as JSON."""
        return orjson.dumps(
            {
                "looks": {str(position): look for position, look in self.looks.items()},
                "rates": dict(self.rates),
                "trends": {action: tuple(trend) for action, trend in self.trends.items()},
                "version": self.version,
            }
        )

    @classmethod
    def decode(cls, raw: bytes | str) -> "Expectations":
        """Read what `encode` wrote."""
        fields = orjson.loads(raw)
        return cls(
            looks={int(position): look for position, look in fields["looks"].items()},
            rates=fields["rates"],
            trends={action: AttractionPrior(*trend) for action, trend in fields["trends"].items()},
            version=fields["version"],
        )

    def close_to(self, other: "Expectations", tolerance: float) -> bool:
        """Whether no figure differs by more than `tolerance` (0.05: 5 %) from that of `other`."""
        return (
            _close(self.looks, other.looks, tolerance)
            and _close(self.rates, other.rates, tolerance)
            and _close(_means(self.trends), _means(other.trends), tolerance)
        )


def _means(trends: Mapping[str, AttractionPrior]) -> dict[tuple[str, float], float]:
    return {(action, share): trend.at(share) for action, trend in trends.items() for share in (1.0, MIDDLE)}


def _close(ones: Mapping[Key, float], others: Mapping[Key, float], tolerance: float) -> bool:
    return ones.keys() == others.keys() and all(
        abs(one - others[key]) <= tolerance * max(one, others[key]) for key, one in ones.items()
    )
