"""Which records change a shard: log order wins, except that an older epoch changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class RecordOrigin(NamedTuple):
    """Where a record's last merged change lay, and under which epoch of its home it was merged."""

    topic: str
    partition: int
    epoch: int
    offset: int


class ShardChange(NamedTuple):
    """One record of the shard's partition; `origin` None is a raw tombstone: forget the product."""

    product_id: str
    offset: int
    origin: RecordOrigin | None
    deleted: bool


@dataclass(frozen=True, slots=True)
class ApplyPlan:
    """The last effective change of each product (as positions in the batch), and how many had none."""

    effective: tuple[int, ...]
    applied: int
    no_op: int


def supersedes(new: RecordOrigin | None, known: RecordOrigin | None) -> bool:
    """Say whether a record from `new` replaces one from `known`.

    What a fenced embedder still wrote, under an older epoch, changes nothing; within an epoch, and for
    tombstones, the order of the log decides. Where the changes lay does not: those of one product may have
    come through several partitions.
    """
    return new is None or known is None or new.epoch >= known.epoch


def decide(changes: Sequence[ShardChange], known: Mapping[str, RecordOrigin]) -> ApplyPlan:
    """Walk the batch in log order and keep, for each product, the last change that has an effect."""
    latest: dict[str, int] = {}
    stale = 0
    for position, change in enumerate(changes):
        earlier = latest.get(change.product_id)
        origin = known.get(change.product_id) if earlier is None else changes[earlier].origin
        if supersedes(change.origin, origin):
            latest[change.product_id] = position
        else:
            stale += 1
    return ApplyPlan(tuple(sorted(latest.values())), len(changes) - stale, stale)
