"""Which records change a shard: log order wins, except that one source never goes back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Origin(NamedTuple):
    """Where a record's last merged change was read, and under which lease (`epoch`) it was merged."""

    topic: str
    partition: int
    epoch: int
    offset: int


class Change(NamedTuple):
    """One record of the shard's partition; `origin` None is a raw tombstone: forget the product."""

    product_id: str
    offset: int
    origin: Origin | None
    deleted: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """The last effective change of each product (as positions in the batch), and how many had none."""

    effective: tuple[int, ...]
    applied: int
    no_op: int


def supersedes(new: Origin | None, known: Origin | None) -> bool:
    """Say whether a record from `new` replaces one from `known`.

    Of one source partition the higher (epoch, offset) wins, so that what a fenced embedder still wrote
    changes nothing; between different sources, and for tombstones, the order of the log decides.
    """
    if new is None or known is None or (new.topic, new.partition) != (known.topic, known.partition):
        return True
    return (new.epoch, new.offset) >= (known.epoch, known.offset)


def decide(changes: Sequence[Change], known: Mapping[str, Origin]) -> Decision:
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
    return Decision(tuple(sorted(latest.values())), len(changes) - stale, stale)
