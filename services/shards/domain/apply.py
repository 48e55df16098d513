"""Which records change a shard: log order wins, except that an older epoch changes nothing."""


def supersedes(new: int | None, known: int | None) -> bool:
    """Say whether a record of epoch `new` replaces one of epoch `known` (None: a tombstone, or nothing).

    What a fenced embedder still wrote, under an older epoch of the product's home, changes nothing; within an
    epoch, and for tombstones, the order of the log decides. Where the changes lay does not: those of one
    product may have come through several partitions.
    """
    return new is None or known is None or new >= known
