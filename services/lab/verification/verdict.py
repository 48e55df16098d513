"""What a verification found, and how long it waits for a system that is still at work."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

LOOK_AGAIN = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """Each way in which the live state is not what the topics say; none: it is exactly that."""

    differences: Sequence[str]
    figures: Mapping[str, int]
    notes: Sequence[str] = ()
    """What a reader should know and what is no difference."""

    @property
    def equal(self) -> bool:
        """Whether there is no difference."""
        return not self.differences

    def json(self, name: str, *, shown: int) -> dict[str, Any]:  # Any: JSON
        """Return one object; of the differences the first `shown`."""
        return {
            "name": name,
            "equal": self.equal,
            "differences": list(self.differences[:shown]),
            "difference_count": len(self.differences),
            "figures": dict(self.figures),
            "notes": list(self.notes),
        }


async def settled(look: Callable[[], Awaitable[VerificationResult]], wait: timedelta) -> VerificationResult:
    """Look again and again until there is no difference; after `wait` the last verdict stands."""
    loop = asyncio.get_running_loop()
    end = loop.time() + wait.total_seconds()
    while True:
        verdict = await look()
        if verdict.equal or loop.time() >= end:
            return verdict
        await asyncio.sleep(min(LOOK_AGAIN.total_seconds(), max(0.0, end - loop.time())))


def retention_gaps(beginnings: Mapping[Any, int]) -> list[str]:  # Any: partitions; only shown
    """Say which partitions no longer have their first messages, and how many are gone."""
    return [
        f"{partition}: its first {offset} messages are gone (retention): what they said can not be proven"
        for partition, offset in sorted(beginnings.items())
        if offset > 0
    ]


def held_back(open_transactions: Mapping[Any, int]) -> list[str]:  # Any: as above
    """Say where messages wait for a producer to end its transaction; nobody has read them."""
    return [
        f"{partition}: {count} offsets lie behind a transaction that is still open, and are not looked at"
        for partition, count in sorted(open_transactions.items())
    ]


def strangers(places: Sequence[str]) -> list[str]:
    """Say where somebody else wrote to a topic of ours; no reader uses it."""
    if not places:
        return []
    return [f"{len(places)} messages cannot be read, the first {places[0]}: only Headrace may write there"]
