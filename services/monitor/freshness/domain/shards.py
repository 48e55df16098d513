"""Is every shard served, how far behind is it, and how fresh: from what owners announce."""

from collections.abc import Iterable, Mapping, Set
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from schemas.alerts import alert_key
from services.monitor.alerts.domain.observation import Observation
from services.monitor.freshness.domain.movement import Movement
from shared.section import Duration

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
    def ingestion_p50(self) -> float | None: ...  # noqa: D102
    @property
    def ingestion_p99(self) -> float | None: ...  # noqa: D102
    @property
    def updated_at(self) -> datetime: ...  # noqa: D102


class FreshnessObjective(BaseModel):
    """What the shop was promised: how late changes are searchable, and the records a shard may be behind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    freshness_p99: Duration = timedelta(seconds=5)
    """From the broker's append to searchable, at the 99th percentile."""
    lag: int = 10_000
    idle_after: Duration = timedelta(minutes=1)
    """A shard that has had nothing to apply for so long is fresh, whatever its last records took."""
    stalled_after: Duration = timedelta(minutes=1)
    """A reader that has something to read and does not move for so long stands still."""


def unserved(owners: Iterable[Owner], *, partitions: int, generation: str) -> list[Observation]:
    """Return one observation a shard: whether an owner that is ready serves it."""
    owners = list(owners)
    total = max([partitions, *(owner.partitions for owner in owners)])
    owned = {owner.partition for owner in owners}
    ready = {owner.partition for owner in owners if owner.ready}
    return [
        Observation(
            key=alert_key(MISSING, f"{generation}-{shard}"),
            breached=shard not in ready,
            severity="critical",
            summary=_service(shard, total, ready=shard in ready, owned=shard in owned),
            action=_service_action(shard, ready=shard in ready, owned=shard in owned),
            evidence={"shard": shard, "shards": total, "ready": len(ready)},
            signature=f"{shard in owned}",
            generation=generation,
        )
        for shard in range(total)
    ]


def behind(
    owners: Iterable[Owner],
    moved: Mapping[int, Movement],
    *,
    objective: FreshnessObjective,
    generation: str,
    now: datetime,
) -> list[Observation]:
    """Return one observation a ready shard: is its best owner too many records behind, or not moving."""
    observations = []
    for shard, owner in sorted(_best(owners).items()):
        lag = max(0, owner.end_offset - owner.next_offset)
        still = lag > 0 and shard in moved and now - moved[shard].since >= objective.stalled_after
        observations.append(
            Observation(
                key=alert_key(LAG, f"{generation}-{shard}"),
                breached=still or lag > objective.lag,
                severity="critical" if still else "warning",
                summary=f"shard {shard} of {generation} lags {lag:,} records"
                + (" and does not move" if still else f", at most {objective.lag:,}"),
                action=_lag_action(is_long=lag > objective.lag, still=still),
                evidence={"shard": shard, "lag": lag, "next_offset": owner.next_offset},
                signature=f"{still} {lag.bit_length()}",
                generation=generation,
            )
        )
    return observations


def stale(
    owners: Iterable[Owner], *, objective: FreshnessObjective, generation: str, idle: Set[int] = frozenset()
) -> Observation | None:
    """Compare the worst shard's recent p99 of the broker's append to searchable with the objective.

    The event times of the changes are evidence only: those of a snapshot, or of rows that are imported again,
    are as old as the rows, however quick we are. A shard among `idle` has nothing to apply: its figure is
    about the past, and counts as met.
    """
    best = _best(owners)
    known = {shard: 0.0 if shard in idle else owner.ingestion_p99 for shard, owner in best.items()}
    measured = {shard: p99 for shard, p99 in known.items() if p99 is not None}
    if not measured:
        return None
    worst = max(measured, key=lambda shard: (measured[shard], -shard))
    p99, goal = measured[worst], objective.freshness_p99.total_seconds()
    late = tuple(str(shard) for shard in sorted(measured) if measured[shard] > goal)
    return Observation(
        key=alert_key(FRESHNESS, generation),
        breached=p99 > goal,
        summary=f"changes become searchable {p99:.2f} s after they were written to the bus (p99, shard "
        f"{worst}); the objective is {goal:g} s",
        action=_freshness_action(best[worst], worst) if late else "nothing to do",
        evidence={
            "p99_seconds": p99,
            "p50_seconds": best[worst].ingestion_p50 or 0.0,
            "event_time_p99_seconds": best[worst].freshness_p99 or 0.0,
            "event_time_p50_seconds": best[worst].freshness_p50 or 0.0,
            "objective_seconds": goal,
            "late_shards": late,
        },
        signature=_magnitude(p99, goal),
        generation=generation,
    )


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


def _service(shard: int, total: int, *, ready: bool, owned: bool) -> str:
    if ready:
        return f"shard {shard} of {total} is served"
    service = "has an owner that is still loading" if owned else "has no owner"
    return f"shard {shard} of {total} {service}: searches are partial"


def _service_action(shard: int, *, ready: bool, owned: bool) -> str:
    if ready:
        return "nothing to do"
    if owned:
        return f"wait for the owner of shard {shard} to catch up; if its offset stands still, restart it"
    return "start a shards worker (`headrace up`, or scale the shards deployment up)"


def _lag_action(*, is_long: bool, still: bool) -> str:
    if still:
        return (
            "look at the shards worker: its log (shard.* events) and headrace_retries_total on its port say "
            "what it waits for; it may be restarted at any time"
        )
    if is_long:
        return (
            "if an import is running, wait: the lag should shrink; if it grows, add a shards worker "
            "or find out in its log (shard.* events) what holds it up"
        )
    return "nothing to do"


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
