"""Who owns which partition: rendezvous hashing, levelled, so that a change moves few partitions."""

from collections.abc import Sequence
from hashlib import blake2b


def _weight(member: str, partition: int) -> bytes:
    return blake2b(f"{member}\0{partition}".encode(), digest_size=8).digest()


def place(partitions: int, members: Sequence[str]) -> dict[int, str]:
    """Return the owner of each partition: the member with the highest hash that still has room.

    Every member takes at most ceil(partitions / members), so that few partitions spread evenly too; all
    members compute the same answer from the same list, in any order.
    """
    names = sorted(set(members))
    if not names:
        return {}
    room = dict.fromkeys(names, -(-partitions // len(names)))
    owners: dict[int, str] = {}
    for partition in range(partitions):
        free = [name for name in names if room[name]]
        owners[partition] = max(free, key=lambda name: _weight(name, partition))
        room[owners[partition]] -= 1
    return owners
