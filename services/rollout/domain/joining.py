"""How far the joins have come: from what the readers of queries and events announce of themselves.

An outcome lies on the bus before its join's position moves, and a message was forwarded before its router's
does. Queries and events of one home are joined whichever comes first, so a home has come as far as one
process says for all of its logs: what a dead one says of the one log, and its successor of another, says
nothing, since the state between them may have been lost.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from shared.cluster.members import ReaderRecord
from shared.records import Partition

Ends = Mapping[Partition, int]


def unread(readers: Iterable[ReaderRecord], ends: Ends) -> int:
    """Return how many messages before these ends nobody has read, each partition for itself."""
    furthest: dict[Partition, int] = {}
    for reader in readers:
        at = Partition(reader.topic, reader.partition)
        furthest[at] = max(furthest.get(at, 0), reader.next_offset or 0)
    return sum(max(0, end - furthest.get(at, 0)) for at, end in ends.items())


def unjoined(readers: Iterable[ReaderRecord], ends: Ends) -> int:
    """Return how many messages before these ends are not joined, by what the furthest of each home says."""
    by_home: defaultdict[int, defaultdict[str, list[ReaderRecord]]] = defaultdict(lambda: defaultdict(list))
    for reader in readers:
        by_home[reader.partition][reader.instance].append(reader)
    homes = {at.number for at in ends}
    return sum(
        min(
            unread(records, {at: end for at, end in ends.items() if at.number == home})
            for records in [*by_home[home].values(), []]
        )
        for home in homes
    )
