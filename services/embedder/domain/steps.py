"""A batch cut into steps, each of which is published and stored by itself."""

import math
from collections.abc import Iterator

from schemas.catalogue import StampedChange
from shared.records import Batch

Changes = Batch[StampedChange]


def steps(batch: Changes, count: int) -> Iterator[Changes]:
    """Cut the batch into `count` of about the same size; each ends where the next begins."""
    size = math.ceil(len(batch.messages) / count)
    for start in range(0, len(batch.messages), size):
        end = start + size
        following = batch.messages[end][0].offset if end < len(batch.messages) else batch.next_offset
        yield Batch(batch.messages[start:end], following)
