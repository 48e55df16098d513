"""Work cut into steps, each of which is published and stored by itself."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from schemas.catalogue import StampedChange
from shared.records import Batch

Changes = Batch[StampedChange]
T = TypeVar("T")


def portions(items: Iterable[T], size: Callable[[T], int], most: Callable[[], int]) -> Iterator[list[T]]:
    """Cut items, in order, into portions of at most that size together, or of one that is larger alone.

    `most` is asked for each portion anew.
    """
    portion: list[T] = []
    room = most()
    for item in items:
        if portion and size(item) > room:
            yield portion
            portion, room = [], most()
        portion.append(item)
        room -= size(item)
    if portion:
        yield portion
