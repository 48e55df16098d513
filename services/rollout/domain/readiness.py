"""Whether a generation is whole: from what its workers say, beside the live one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


class CanaryHealth(Protocol):
    """The last result of one canary."""

    @property
    def recall(self) -> float: ...  # noqa: D102 - named by the monitor
    @property
    def limit(self) -> float: ...  # noqa: D102
    @property
    def ran_at(self) -> datetime: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationEvidence:
    """What is known of one generation at a moment."""

    generation: str
    partitions: int
    ready: int = 0
    """Shards that an owner serves and that have caught up."""
    documents: int = 0
    shard_lag: int = 0
    sources: int
    """Homes of products."""
    taken_over: int = 0
    """Those of them that are read; the others are still filled from the source, or have no reader."""
    embedder_lag: int = 0
    running: frozenset[str] = frozenset()
    """The workers (kind/instance) that serve it."""
    waiting: Mapping[str, str] = field(default_factory=dict)
    """The workers that do not yet, and why."""
    given_up: Mapping[str, str] = field(default_factory=dict)
    """The kinds of workers of which one tries it no more, and why."""
    canaries: Mapping[str, CanaryHealth] = field(default_factory=dict)

    @property
    def refused(self) -> str:
        """Which worker gave it up, and why; empty: none did."""
        return next((f"{kind}: {why}" for kind, why in sorted(self.given_up.items())), "")

    @property
    def lag(self) -> int:
        """Messages between the changes and what is searchable."""
        return self.embedder_lag + self.shard_lag


def waiting_for(candidate: GenerationEvidence, live: GenerationEvidence, *, most_behind: int) -> list[str]:
    """Return what the candidate still lacks, canaries aside."""
    total = candidate.partitions
    reasons = [f"{name}: {why or 'starting'}" for name, why in sorted(candidate.waiting.items())]
    absent = {name for name in live.running if name not in candidate.running | candidate.waiting.keys()}
    reasons += [f"{name} does not serve it yet" for name in sorted(absent)]
    if candidate.taken_over < candidate.sources:
        filling = candidate.sources - candidate.taken_over
        reasons.append(f"{filling} of {candidate.sources} partitions are still being filled")
    if candidate.ready < total:
        reasons.append(f"{total - candidate.ready} of {total} shards are not ready")
    if candidate.lag > most_behind:
        reasons.append(f"{candidate.lag:,} messages behind")
    if abs(candidate.documents - live.documents) > candidate.lag + live.lag:
        reasons.append(f"{candidate.documents:,} products, {live.generation} has {live.documents:,}")
    return reasons


def canaries_for(candidate: GenerationEvidence, live: GenerationEvidence, *, since: datetime) -> list[str]:
    """Return what canaries say against the candidate, of those that were run on the live generation.

    A canary must find what it must find on the live generation, or what it finds there now if that is less.
    """
    reasons = []
    for name, live_canary in sorted(live.canaries.items()):
        canary = candidate.canaries.get(name)
        if canary is None or canary.ran_at < since:
            reasons.append(f"canary {name} has not been run since it caught up")
        elif canary.recall < min(live_canary.limit, live_canary.recall) or (
            live_canary.recall > 0 and not canary.recall
        ):
            reasons.append(
                f"canary {name}: recall {canary.recall:.2f}, {live.generation} has {live_canary.recall:.2f}"
            )
    return reasons
