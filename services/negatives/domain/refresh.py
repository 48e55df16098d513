"""When all queries are mined again although neither index nor rules are others."""

from datetime import timedelta
from typing import NamedTuple


class RefreshPolicy(NamedTuple):
    """How much must have been written to the index, and how long ago the last time must be."""

    records: int = 0
    """After so many index records, or when the log is a quarter longer: whichever comes first; 0: never."""
    every: timedelta = timedelta(hours=1)
    """But no oftener than that."""

    def is_due(self, news: int, *, of: int, age: timedelta) -> bool:
        """Whether the catalogue has changed a lot, and long enough ago.

        `news` records were written since all queries were mined, when there were `of`; that is `age` ago.
        """
        is_much = self.records > 0 and news > 0 and news >= min(self.records, of / 4)
        return is_much and age >= self.every
