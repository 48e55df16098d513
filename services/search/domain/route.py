"""Which owner to ask for which partition."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.cluster.members import OwnerRecord

NO_OWNER = "no owner serves this partition"


@dataclass(frozen=True, slots=True)
class Route:
    """For each partition the owners to ask, best first, and why the others cannot be asked."""

    partitions: int
    choices: Mapping[int, Sequence[OwnerRecord]]
    unserved: Mapping[int, str] = field(default_factory=dict)


def route(owners: Iterable[OwnerRecord], *, fingerprint: str | None, turn: int = 0) -> Route:
    """Return whom to ask, spreading by `turn` over replicas.

    The number of partitions is what most owners say (the larger on a tie); owners that say otherwise are
    of another layout and are not asked. With a `fingerprint`, owners of another model are not asked.
    """
    candidates = list(owners)
    votes = Counter(owner.partitions for owner in candidates)
    partitions = max(votes, key=lambda count: (votes[count], count), default=0)
    choices: dict[int, list[OwnerRecord]] = {number: [] for number in range(partitions)}
    reasons: dict[int, str] = {}
    for owner in sorted(candidates, key=lambda owner: (owner.partition, owner.url)):
        reason = _unfit(owner, partitions, fingerprint)
        if reason is None:
            choices[owner.partition].append(owner)
        else:
            reasons[owner.partition] = reason
    unserved = {number: reasons.get(number, NO_OWNER) for number in choices if not choices[number]}
    turned = {number: _turned(replicas, turn) for number, replicas in choices.items()}
    return Route(partitions, turned, unserved)


def _unfit(owner: OwnerRecord, partitions: int, fingerprint: str | None) -> str | None:
    if owner.partitions != partitions:
        return f"its owner counts {owner.partitions} partitions, the others {partitions}"
    if not owner.ready:
        return f"its owner is catching up: at {owner.next_offset} of {owner.end_offset}"
    if fingerprint and owner.fingerprint and owner.fingerprint != fingerprint:
        return f"fingerprint.mismatch: the shard has {owner.fingerprint}, the query {fingerprint}"
    return None


def _turned(owners: Sequence[OwnerRecord], turn: int) -> Sequence[OwnerRecord]:
    shift = turn % len(owners) if owners else 0
    return (*owners[shift:], *owners[:shift])
