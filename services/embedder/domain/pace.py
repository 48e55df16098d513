"""How many texts are embedded in the time that a change may wait for those before it."""

from dataclasses import dataclass
from datetime import timedelta

LEAST, MOST = 32, 256
"""Texts of a step: fewer cost more in commits than they save, more are no faster."""
FIRST = 64
"""As long as nothing was measured."""
WEIGHT = 0.3
"""Of the last measurement, beside those before."""


@dataclass(slots=True)
class EmbeddingPace:
    """The pace of a model as this caller sees it: what others ask of the same cores slows it down."""

    texts_a_second: float | None = None

    def learn(self, texts: int, took: timedelta) -> None:
        """Take a measurement; one of few texts says little."""
        if texts < LEAST or not took:
            return
        pace = texts / took.total_seconds()
        before = pace if self.texts_a_second is None else self.texts_a_second
        self.texts_a_second = WEIGHT * pace + (1 - WEIGHT) * before

    def texts_within(self, time: timedelta) -> int:
        """Return the size of a step that takes so long."""
        if self.texts_a_second is None:
            return FIRST
        return min(MOST, max(LEAST, int(self.texts_a_second * time.total_seconds())))
