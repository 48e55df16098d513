"""What a judgement says of relevance, in a few bytes."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Self

from schemas.base import EPOCH, MILLISECOND, milliseconds
from schemas.judgements import Judgement


@dataclass(frozen=True, slots=True)
class RelevanceEvidence:
    """What shoppers did with one product of a query, and what was expected of an average one.

    `actions` are of any kind; `expected` is of those of the objective, as `objective_actions` is. Numbers are
    rounded, so that a judgement that says the same again is no news, whenever it was made.
    """

    actions: int
    objective_actions: int
    expected: float
    grade: float
    made_at: datetime = EPOCH
    """When the first judgement was made that said so."""
    window_start: date = date.min
    """The first day that it is about."""
    impressions: int = 0

    @classmethod
    def of(cls, judgement: Judgement, objective: frozenset[str]) -> Self:
        """Return what counts of a judgement."""
        wanted = [statistics for action, statistics in judgement.actions.items() if action in objective]
        return cls(
            actions=sum(statistics.count for statistics in judgement.actions.values()),
            objective_actions=sum(statistics.count for statistics in wanted),
            expected=round(sum(statistics.expected for statistics in wanted), 1),
            grade=round(judgement.grade, 2),
            made_at=judgement.updated_at,
            window_start=judgement.window_start,
            impressions=judgement.impressions,
        )

    @property
    def prominence(self) -> float:
        """Return the actions expected of each impression: the higher, the nearer to the top it was shown."""
        return self.expected / max(1, self.impressions)

    def is_skipped(self, times: float) -> bool:
        """Whether `times` its actions, and one more for chance, were to be expected of it."""
        return self.expected >= times * (self.actions + 1)

    def pack(self) -> str:
        """Return it as text; the first four words are what `lua/learn.lua` compares."""
        said = f"{self.actions} {self.objective_actions} {self.expected} {self.grade}"
        return f"{said} {milliseconds(self.made_at)} {self.window_start.toordinal()} {self.impressions}"

    @classmethod
    def unpack(cls, packed: str) -> Self:
        """Read what `pack` wrote; once it wrote four words, then six."""
        actions, objective_actions, expected, grade, *when = packed.split()
        said = int(actions), int(objective_actions), float(expected), float(grade)
        if not when:
            return cls(*said)
        made_at, window_start, impressions = (int(word) for word in (*when, "0")[:3])
        return cls(*said, EPOCH + made_at * MILLISECOND, date.fromordinal(window_start), impressions)
