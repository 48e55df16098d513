"""How much text is embedded in the time that a change may wait for those before it."""

from dataclasses import dataclass
from datetime import timedelta

STEP = timedelta(milliseconds=250)
"""Work whose texts take longer is done in steps of about so long, after what of it needs no inference: what
is embedded is soon searchable, a kill repeats little, and a change waits for no more. Changes that need no
inference go in large batches, which cost the shards fewer commits."""
LEAST, MOST = 2_000, 20_000
"""Characters of a step: fewer cost more in commits than they save, more are no faster."""
FIRST = 4_000
"""As long as nothing was measured."""
WEIGHT = 0.3
"""Of the last measurement, beside those before."""
SHORTEST = 32
"""A text of fewer characters costs as much."""


def cost(characters: int) -> int:
    """Return what a text of so many characters counts."""
    return max(SHORTEST, characters)


@dataclass(slots=True)
class EmbeddingPace:
    """The pace of a model as this caller sees it: what others ask of the same cores slows it down."""

    characters_a_second: float | None = None

    def learn(self, characters: int, took: timedelta) -> None:
        """Take a measurement; one of little text says little."""
        if characters < LEAST or not took:
            return
        pace = characters / took.total_seconds()
        before = pace if self.characters_a_second is None else self.characters_a_second
        self.characters_a_second = WEIGHT * pace + (1 - WEIGHT) * before

    def characters_within(self, time: timedelta) -> int:
        """Return the size of a step that takes so long."""
        if self.characters_a_second is None:
            return FIRST
        return min(MOST, max(LEAST, int(self.characters_a_second * time.total_seconds())))
