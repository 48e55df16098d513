"""What a judgement says to mining, in a few bytes."""

from dataclasses import dataclass
from typing import Self

from schemas.judgements import Judgement


@dataclass(frozen=True, slots=True)
class Fact:
    """One product of a query: actions of any kind, those of the objective, what was expected, the grade.

    Numbers are rounded, so that a judgement that says the same again is no news.
    """

    actions: int
    wanted: int
    expected: float
    grade: float

    @classmethod
    def of(cls, judgement: Judgement, objective: frozenset[str]) -> Self:
        """Return what counts of a judgement."""
        told = judgement.actions
        return cls(
            actions=sum(it.count for it in told.values()),
            wanted=sum(it.count for action, it in told.items() if action in objective),
            expected=round(sum(it.expected for action, it in told.items() if action in objective), 1),
            grade=round(judgement.grade, 2),
        )

    def pack(self) -> str:
        """Return it as text."""
        return f"{self.actions} {self.wanted} {self.expected} {self.grade}"

    @classmethod
    def unpack(cls, packed: str) -> Self:
        """Read what `pack` wrote."""
        actions, wanted, expected, grade = packed.split()
        return cls(int(actions), int(wanted), float(expected), float(grade))
