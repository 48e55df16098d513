"""Since when something stands where it stands."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

K = TypeVar("K")


class Movement(BaseModel):
    """Up to where something had come (None: it has not begun), and since when it has been there."""

    model_config = ConfigDict(frozen=True)

    next_offset: int | None
    since: datetime


def movements(
    before: Mapping[K, Movement], offsets: Mapping[K, int | None], now: datetime
) -> dict[K, Movement]:
    """Return where each stands, and since when."""
    return {
        key: before[key]
        if key in before and before[key].next_offset == offset
        else Movement(next_offset=offset, since=now)
        for key, offset in offsets.items()
    }
