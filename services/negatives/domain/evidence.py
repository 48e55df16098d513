"""What a judgement says of relevance, in a few bytes."""

from dataclasses import dataclass
from typing import Self

from schemas.judgements import Judgement


@dataclass(frozen=True, slots=True)
class RelevanceEvidence:
    """What shoppers did with one product of a query, and what was expected of an average one.

    `actions` are of any kind; `expected` is of those of the objective, as `objective_actions` is. Numbers are
    rounded, so that a judgement that says the same again is no news.
    """

    actions: int
    objective_actions: int
    expected: float
    grade: float

    @classmethod
    def of(cls, judgement: Judgement, objective: frozenset[str]) -> Self:
        """Return what counts of a judgement."""
        wanted = [statistics for action, statistics in judgement.actions.items() if action in objective]
        return cls(
            actions=sum(statistics.count for statistics in judgement.actions.values()),
            objective_actions=sum(statistics.count for statistics in wanted),
            expected=round(sum(statistics.expected for statistics in wanted), 1),
            grade=round(judgement.grade, 2),
        )

    def pack(self) -> str:
        """Return it as text."""
        return f"{self.actions} {self.objective_actions} {self.expected} {self.grade}"

    @classmethod
    def unpack(cls, packed: str) -> Self:
        """Read what `pack` wrote."""
        actions, objective_actions, expected, grade = packed.split()
        return cls(int(actions), int(objective_actions), float(expected), float(grade))
