"""Is every shard served, how far behind is it, and how fresh: from what owners announce."""

from collections.abc import Iterable, Mapping, Set
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from services.monitor.domain.movement import Movement
from services.monitor.domain.observation import Observation, alert_key

MISSING = "shard-missing"
LAG = "shard-lag"
FRESHNESS = "freshness"


class Owner(Protocol):
    """What an owner of one shard announces of itself."""

    @property
    def partition(self) -> int: ...  # noqa: D102 - named by the registry
    @property
    def partitions(self) -> int: ...  # noqa: D102
    @property
    def next_offset(self) -> int: ...  # noqa: D102
    @property
    def end_offset(self) -> int: ...  # noqa: D102
    @property
    def ready(self) -> bool: ...  # noqa: D102
    @property
    def freshness_p50(self) -> float | None: ...  # noqa: D102
    @property
    def freshness_p99(self) -> float | None: ...  # noqa: D102
    @property
    def updated_at(self) -> datetime: ...  # noqa: D102


class Objective(BaseModel):
    """What the shop was promised: freshness at the 99th percentile, and the records a shard may be behind."""

    model_config = ConfigDict(frozen=True)

    freshness_p99: timedelta = timedelta(seconds=5)
    lag: int = 10_000
    idle_after: timedelta = timedelta(minutes=1)
    """A shard that has had nothing to apply for so long is fresh, whatever its last records took."""
    stalled_after: timedelta = timedelta(minutes=1)
    """A reader that has something to read and does not move for so long stands still."""


def unserved(owners: Iterable[Owner], *, partitions: int, generation: str) -> list[Observation]:
    """Return one observation a shard: whether an owner that is ready serves it."""
    owners = list(owners)
    total = max([partitions, *(owner.partitions for owner in owners)])
    known = {owner.partition for owner in owners}
    ready = {owner.partition for owner in owners if owner.ready}
    return [
        Observation(
            key=alert_key(MISSING, f"{generation}-{shard}"),
            breached=shard not in ready,
            severity="critical",
            summary=_service(shard, total, ready=shard in ready, known=shard in known),
            action=_service_action(shard, ready=shard in ready, known=shard in known),
            evidence={"shard": shard, "shards": total, "ready": len(ready)},
            signature=f"{shard in known}",
            generation=generation,
        )
        for shard in range(total)
    ]


def behind(owners: Iterable[Owner], *, objective: Objective, generation: str) -> list[Observation]:
    """Return one observation a ready shard: whether its best owner is too many records behind."""
    seen = []
    for shard, owner in sorted(_best(owners).items()):
        lag = max(0, owner.end_offset - owner.next_offset)
        seen.append(
            Observation(
                key=alert_key(LAG, f"{generation}-{shard}"),
                breached=lag > objective.lag,
                summary=f"shard {shard} of {generation} lags {lag:,} records, at most {objective.lag:,}",
                action=(
                    "if an import is running, wait: the lag should shrink; if it grows, add a shards worker "
                    "or find out in its log (shard.* events) what holds it up"
                )
                if lag > objective.lag
                else "nothing to do",
                evidence={"shard": shard, "lag": lag, "next_offset": owner.next_offset},
                signature=str(lag.bit_length()),
                generation=generation,
            )
        )
    return seen


def stale(
    owners: Iterable[Owner], *, objective: Objective, generation: str, idle: Set[int] = frozenset()
) -> Observation | None:
    """Compare the worst shard's recent p99 of event time to searchable with the objective.

    A shard among `idle` has nothing to apply: its figure is about the past, and counts as met.
    """
    best = _best(owners)
    measured = {
        shard: 0.0 if shard in idle else owner.freshness_p99
        for shard, owner in best.items()
        if owner.freshness_p99 is not None
    }
    if not measured:
        return None
    worst = max(measured, key=lambda shard: (measured[shard], -shard))
    p99, goal = measured[worst], objective.freshness_p99.total_seconds()
    late = tuple(str(shard) for shard in sorted(measured) if measured[shard] > goal)
    return Observation(
        key=alert_key(FRESHNESS, generation),
        breached=p99 > goal,
        summary=f"changes become searchable in {p99:.2f} s (p99, shard {worst}); the objective is {goal:g} s",
        action=_freshness_action(best[worst], worst) if late else "nothing to do",
        evidence={
            "p99_seconds": p99,
            "p50_seconds": best[worst].freshness_p50 or 0.0,
            "objective_seconds": goal,
            "late_shards": late,
        },
        signature=_magnitude(p99, goal),
        generation=generation,
    )


def position(owners: Iterable[Owner]) -> dict[int, int]:
    """Return each shard's furthest next offset; it moves when a catalogue batch was applied."""
    furthest: dict[int, int] = {}
    for owner in owners:
        furthest[owner.partition] = max(owner.next_offset, furthest.get(owner.partition, 0))
    return furthest


def idle(
    moved: Mapping[int, Movement], owners: Iterable[Owner], *, now: datetime, after: timedelta
) -> frozenset[int]:
    """Return the shards whose best owner is at the end of its topic and has been for `after`."""
    done = {shard for shard, owner in _best(owners).items() if owner.next_offset >= owner.end_offset}
    return frozenset(shard for shard in done if shard in moved and now - moved[shard].since >= after)


def _best(owners: Iterable[Owner]) -> dict[int, Owner]:
    """Return the ready owner of each shard that is least behind: the one searches should go to."""
    best: dict[int, Owner] = {}
    for owner in owners:
        rival = best.get(owner.partition)
        if owner.ready and (rival is None or owner.next_offset > rival.next_offset):
            best[owner.partition] = owner
    return best


def _service(shard: int, total: int, *, ready: bool, known: bool) -> str:
    if ready:
        return f"shard {shard} of {total} is served"
    held = "has an owner that is still loading" if known else "has no owner"
    return f"shard {shard} of {total} {held}: searches are partial"


def _service_action(shard: int, *, ready: bool, known: bool) -> str:
    if ready:
        return "nothing to do"
    if known:
        return f"wait for the owner of shard {shard} to catch up; if its offset stands still, restart it"
    return "start a shards worker (`headrace up`, or scale the shards deployment up)"


def _freshness_action(owner: Owner, shard: int) -> str:
    if owner.end_offset > owner.next_offset:
        return f"shard {shard} itself is behind: give the shards worker more CPU, or add one"
    return (
        "the shards keep up, so look before them: the embedder's lag and embed seconds "
        "(headrace_* metrics on its port); add an embedder, or wait if an import is running"
    )


def _magnitude(value: float, goal: float) -> str:
    """Return how many times over the goal, by powers of two."""
    return str(int(value / goal).bit_length()) if goal > 0 else ""
