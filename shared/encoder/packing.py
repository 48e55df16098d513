"""Texts into forward passes: longest first, so that little of a pass is padding."""

from collections.abc import Sequence


def pack(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return batches of indexes into `lengths`, longest first; every index is in exactly one.

    A batch costs its longest length times its size (shorter ones are padded); that is at most `budget`,
    except for a single text that is longer than the budget alone.
    """
    batches: list[list[int]] = []
    room = 0
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if room == 0:
            batches.append([])
            room = max(1, budget // max(1, lengths[index]))
        batches[-1].append(index)
        room -= 1
    return batches
