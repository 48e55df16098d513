"""When the head is sealed, and which segments are merged into one."""

from collections.abc import Sequence
from typing import NamedTuple


class SegmentSize(NamedTuple):
    """A segment as the policy sees it."""

    name: str
    rows: int
    live: int
    newer: int = 0
    """How many of the live ones have states that are not as the segment has them."""


class CompactionPolicy(NamedTuple):
    """Seal the head at `seal_rows`; merge `fan_in` segments of one size class; rewrite the mostly dead.

    Of the smallest class two are enough: each checkpoint makes one, however little there is, and every part
    costs every search.
    """

    seal_rows: int = 8192
    fan_in: int = 4
    dead_share: float = 0.4
    largest: int = 2_000_000


def must_seal(policy: CompactionPolicy, *, rows: int) -> bool:
    """Say whether the head has grown so that scanning it costs more than another segment."""
    return rows >= policy.seal_rows


def merge_candidates(policy: CompactionPolicy, segments: Sequence[SegmentSize]) -> tuple[str, ...]:
    """Return the segments to merge now, in their order; empty: nothing to do.

    First a segment with too many dead rows is rewritten alone (or dropped when nothing in it lives), then
    the smallest size class (powers of four over the seal size) that has `fan_in` members is merged, so
    that every row is rewritten O(log rows) times.
    """
    for segment in segments:
        stale = segment.rows - segment.live + segment.newer
        if segment.rows and stale >= segment.rows * policy.dead_share:
            return (segment.name,)
    classes: dict[int, list[SegmentSize]] = {}
    for segment in segments:
        if segment.live < policy.largest:
            classes.setdefault(size_class(policy, segment.live), []).append(segment)
    for tier, members in sorted(classes.items()):
        if len(members) >= (policy.fan_in if tier else 2):
            return tuple(segment.name for segment in members)
    return ()


def size_class(policy: CompactionPolicy, rows: int) -> int:
    """Return 0 for up to the seal size, then one more for every factor of four."""
    tier, limit = 0, policy.seal_rows
    while rows > limit:
        tier, limit = tier + 1, limit * 4
    return tier
