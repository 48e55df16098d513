"""Whether a candidate may take the live model's place, and why."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from schemas.base import Score, Value
from services.trainer.domain.statistics import Difference

MEASURE = "nDCG@10"
HELD_OUT = "held_out"
"""All pairs that were not learned from, of whichever split, as one ground."""


class Compared(Value):
    """One figure of both models, on the same queries; `part` is a slice of them, empty for all.

    `low` and `high` bound candidate - live at 95 %.
    """

    ground: str
    measure: str
    code: str
    """Dimensions and precision of the vectors."""
    part: str = ""
    live: Score
    candidate: Score
    low: Score
    high: Score
    queries: int

    @classmethod
    def of(cls, ground: str, measure: str, code: str, *, found: Difference, part: str = "") -> "Compared":
        """Return the record of a difference."""
        return cls(
            ground=ground,
            measure=measure,
            code=code,
            part=part,
            live=found.live,
            candidate=found.candidate,
            low=found.low,
            high=found.high,
            queries=found.count,
        )

    @property
    def difference(self) -> float:
        """Candidate minus live."""
        return self.candidate - self.live

    def words(self) -> str:
        """Return it as a phrase."""
        return (
            f"{self.measure} on {self.ground}: {self.live:.4f} -> {self.candidate:.4f} "
            f"({self.difference:+.4f}, 95 % {self.low:+.4f} to {self.high:+.4f}, {self.queries} queries)"
        )


class Terms(Value):
    """On what terms a candidate is admitted.

    The agreed ground is everything that is held out, as one: a shop's judgements are noisy, and of the
    splits alone each has too few queries or too few products a query to show what a fit does. On each
    split, and on general texts, it must do no harm: the difference itself is held against the margin,
    since so few queries prove no equality.
    """

    ground: str = HELD_OUT
    margin: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Of nDCG@10: so much less on another ground is too much."""
    least: Annotated[int, Field(ge=1)] = 20
    """Queries without which a ground says nothing."""


class Verdict(Value):
    """Admitted or refused, in words."""

    admitted: bool
    reasons: tuple[str, ...]


def decide(found: Sequence[Compared], terms: Terms) -> Verdict:
    """Admit what is better on the agreed ground, the interval above zero, and not much worse elsewhere.

    Only whole grounds and whole vectors decide; slices, sizes and precisions are for people to read.
    """
    heads = _heads(found)
    agreed = heads.get(terms.ground)
    reasons, admitted = [_agreed(agreed, terms)], _better(agreed, terms)
    for ground, it in heads.items():
        if ground == terms.ground:
            continue
        if it.queries < terms.least:
            reasons.append(f"too few queries to say anything: {it.words()}")
        elif it.difference < -terms.margin:
            reasons.append(f"worse by more than {terms.margin:g}: {it.words()}")
            admitted = False
        else:
            reasons.append(f"not worse by more than {terms.margin:g}: {it.words()}")
    return Verdict(admitted=admitted, reasons=tuple(reasons))


def _heads(found: Sequence[Compared]) -> dict[str, Compared]:
    """Return the first comparison of each ground that is of the whole of it, by the agreed measure."""
    heads: dict[str, Compared] = {}
    for it in found:
        if it.measure == MEASURE and not it.part:
            heads.setdefault(it.ground, it)
    return heads


def _better(agreed: Compared | None, terms: Terms) -> bool:
    return agreed is not None and agreed.queries >= terms.least and agreed.low > 0


def _agreed(agreed: Compared | None, terms: Terms) -> str:
    if agreed is None:
        return f"nothing was judged on {terms.ground}, which decides"
    if agreed.queries < terms.least:
        return f"too few queries to decide by, {terms.least} are wanted: {agreed.words()}"
    if agreed.low > 0:
        return f"better: {agreed.words()}"
    return f"not better beyond doubt: {agreed.words()}"
