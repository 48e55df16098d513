"""Whether a candidate may take the live model's place, may not, or must be tried; and why.

Judgements exist for what the live model showed. What nobody was shown is neither wrong nor ignored: it bounds
what the judgements can prove. So there are three answers, and most candidates are undecided until shoppers
have seen them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from schemas.base import Score, Value
from services.trainer.evaluation.domain.figures import (
    GENERAL,
    HELD_OUT,
    MEASURE,
    OPTIMISTIC,
    PESSIMISTIC,
    MetricComparison,
)
from shared.retrieval.quality import BPREF, CONDENSED
from shared.statistics.power import sessions_needed

WORTH_FINDING = 0.02
"""Of nDCG@10, relative: a smaller gain is no reason for a trial of its own."""

Answer = Literal["admitted", "refused", "undecided"]


class AdmissionTerms(Value):
    """On what terms a candidate is admitted at once, or refused at once.

    The set that decides is everything that is held out, as one: a shop's judgements are noisy, and of the
    splits alone each has too few queries or too few products a query to show what a fit does. On each
    split, and on general texts, it must do no harm: the difference itself is held against the margin,
    since so few queries prove no equality.
    """

    model_config = ConfigDict(extra="forbid")

    evaluation_set: str = HELD_OUT
    """The one that decides."""
    margin: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Of condensed nDCG@10, or of nDCG@10 on general texts: so much less on a set is too much."""
    least: Annotated[int, Field(ge=1)] = 20
    """Queries without which a set says nothing."""
    shown: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Of both first pages, by discount: when less has ever been shown, nothing is admitted at once."""
    worse: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Of condensed nDCG@10: when the whole interval lies so far below zero, a candidate is refused. On two
    catalogues what was never shown was worth +.03 and +.07 to a better candidate (decision 051)."""


class SecondOpinion(Value):
    """What somebody says who estimates the grades of what nobody was shown.

    An estimate is no truth: it may refuse, it may leave undecided, and it may say which effect a trial should
    be made for. It can not admit.
    """

    answer: Literal["refused", "undecided"]
    words: str
    effect: Score | None = None
    """The relative difference in nDCG@10 that a trial should find."""


class CandidateVerdict(Value):
    """Admitted, refused or undecided, in words; the first reason is the one to read."""

    answer: Answer
    reasons: tuple[str, ...]
    trial_sessions: Annotated[int, Field(ge=1)] | None = None
    """Of an undecided one: interleaved sessions after which a trial has probably decided."""


def decide(
    comparisons: Sequence[MetricComparison],
    terms: AdmissionTerms,
    *,
    faults: Sequence[str] = (),
    opinion: SecondOpinion | None = None,
) -> CandidateVerdict:
    """Refuse what is broken, harmful or worse by every honest reading; admit what is better by all of them.

    All else is undecided. Only whole sets and whole vectors decide; slices, sizes and precisions are for
    people to read. `faults` say what is wrong with the model itself.
    """
    evidence = GateEvidence.of(comparisons, terms)
    refusals, doubts = [*faults, *evidence.refusals()], evidence.doubts()
    if opinion is not None:
        (refusals if opinion.answer == "refused" else doubts).append(opinion.words)
    notes = evidence.notes()
    if refusals:
        first, *rest = refusals
        reasons = (f"{first}; the live model stays", *rest, *notes)
        return CandidateVerdict(answer="refused", reasons=reasons)
    if not doubts:
        return CandidateVerdict(answer="admitted", reasons=(evidence.admitted(), *notes))
    gain = evidence.effect if opinion is None or opinion.effect is None else opinion.effect
    sessions = _two_digits(sessions_needed(max(abs(gain), WORTH_FINDING)))
    reasons = (evidence.undecided(sessions), *doubts, *notes)
    return CandidateVerdict(answer="undecided", reasons=reasons, trial_sessions=sessions)


@dataclass(frozen=True, slots=True)
class GateEvidence:
    """The comparisons that decide, each None where there is none with enough queries."""

    terms: AdmissionTerms
    condensed: MetricComparison | None
    bpref: MetricComparison | None
    pessimistic: MetricComparison | None
    optimistic: MetricComparison | None
    others: tuple[MetricComparison, ...]
    """Of each other set, the measure that decides there."""

    @classmethod
    def of(cls, comparisons: Sequence[MetricComparison], terms: AdmissionTerms) -> "GateEvidence":
        """Pick the first comparison of the whole of each set, by each measure."""
        heads: dict[tuple[str, str], MetricComparison] = {}
        for comparison in comparisons:
            if not comparison.part and comparison.queries >= terms.least:
                heads.setdefault((comparison.evaluation_set, comparison.measure), comparison)
        others = tuple(
            comparison
            for (name, measure), comparison in heads.items()
            if name != terms.evaluation_set and measure == (MEASURE if name == GENERAL else CONDENSED)
        )
        return cls(
            terms=terms,
            condensed=heads.get((terms.evaluation_set, CONDENSED)),
            bpref=heads.get((terms.evaluation_set, BPREF)),
            pessimistic=heads.get((terms.evaluation_set, PESSIMISTIC)),
            optimistic=heads.get((terms.evaluation_set, OPTIMISTIC)),
            others=others,
        )

    @property
    def effect(self) -> float:
        """The relative difference that a trial is to find: the better the candidate looks, the sooner."""
        return max(0.0, self.condensed.effect) if self.condensed else 0.0

    def refusals(self) -> list[str]:
        """Return why it is worse whatever one makes of what nobody was shown; empty: it may be better."""
        refusals = []
        if self.optimistic is not None and self._all_below(0.0) and self.optimistic.high < 0:
            refusals.append(
                f"worse {_whom(self.optimistic)}, even if all that nobody graded is as good as it can be: "
                f"{_figures(self.optimistic)}"
            )
        elif self.condensed is not None and self._all_below(-self.terms.worse):
            refusals.append(
                f"worse by {-self.condensed.effect:.1%} {_whom(self.condensed)} on all that shoppers were "
                f"shown, more than new products ever made up for: {_figures(self.condensed)}"
            )
        refusals += [
            f"forgets what is not of this shop: {comparison.words()}"
            for comparison in self.others
            if comparison.evaluation_set == GENERAL and comparison.high < -self.terms.margin
        ]
        return refusals

    def doubts(self) -> list[str]:
        """Return what keeps it from being admitted at once; empty: it is better beyond doubt."""
        terms = self.terms
        if self.condensed is None:
            return [f"too few judged queries on {terms.evaluation_set}, {terms.least} are wanted"]
        return [
            *self._open_doubts(),
            *(
                f"worse by more than {terms.margin:g}: {comparison.words()}"
                for comparison in (self.condensed, *self.others)
                if self._is_harm(comparison)
            ),
        ]

    def _open_doubts(self) -> list[str]:
        """Return why the bounds do not prove it better."""
        pessimistic, terms = self.pessimistic, self.terms
        if pessimistic is None:
            return [f"too few queries that nothing was learned of, {terms.least} are wanted"]
        doubts = []
        if min(pessimistic.shown) < terms.shown:
            live, candidate = (f"{share:.0%}" for share in pessimistic.shown)
            doubts.append(
                f"shoppers were shown {live} of the live model's first pages and {candidate} of its own, "
                f"{terms.shown:.0%} are wanted"
            )
        if pessimistic.low <= 0:
            doubts.append(
                f"not better if all that nobody graded is as bad for it as it can be: {pessimistic.words()}"
            )
        return doubts

    def notes(self) -> list[str]:
        """Return on what else it does no harm."""
        return [
            f"not worse by more than {self.terms.margin:g}: {comparison.words()}"
            for comparison in self.others
            if not self._is_harm(comparison)
        ]

    def admitted(self) -> str:
        """Return the line to read first of one that is admitted."""
        gain = [
            f"better by {comparison.effect:.1%} {_whom(comparison)}: {_figures(comparison)}"
            for comparison in (self.condensed,)
            if comparison is not None
        ]
        floor = [
            f"and by {comparison.difference:+.4f} at least, whatever is true of what nobody graded "
            f"({_shown(comparison)})"
            for comparison in (self.pessimistic,)
            if comparison is not None
        ]
        return "; ".join([*gain, *floor, "next: roll it out"])

    def undecided(self, sessions: int) -> str:
        """Return the line to read first of one that must be tried."""
        trial = f"next: a trial, which some {sessions:,} interleaved sessions decide"
        if self.condensed is None:
            return f"nothing that was judged tells; {trial}"
        way = "better" if self.condensed.difference >= 0 else "worse"
        sure = "" if self.condensed.low * self.condensed.high > 0 else "perhaps "
        shown = self.pessimistic or self.condensed
        return (
            f"{sure}{way} by {abs(self.condensed.effect):.1%} {_whom(self.condensed)} on what shoppers were "
            f"shown: {_figures(self.condensed)}; {_shown(shown)}; {trial}"
        )

    def _all_below(self, least: float) -> bool:
        """Whether both fair measures say worse beyond doubt, and condensed nDCG@10 by more than that."""
        condensed, bpref = self.condensed, self.bpref
        return condensed is not None and bpref is not None and condensed.high < least and bpref.high < 0

    def _is_harm(self, comparison: MetricComparison) -> bool:
        return comparison.difference < -self.terms.margin


def _whom(comparison: MetricComparison) -> str:
    kind = "held-out queries" if comparison.evaluation_set == HELD_OUT else comparison.evaluation_set
    return f"for {comparison.queries} {kind}"


def _figures(comparison: MetricComparison) -> str:
    return (
        f"{comparison.measure} {comparison.live:.4f} -> {comparison.candidate:.4f} "
        f"({comparison.difference:+.4f}, 95 % {comparison.low:+.4f} to {comparison.high:+.4f})"
    )


def _shown(comparison: MetricComparison) -> str:
    return f"{1 - comparison.shown[1]:.0%} of its first pages nobody was ever shown"


def _two_digits(sessions: int) -> int:
    """Return the number rounded up to two digits: no more of it is known."""
    unit = 10.0 ** max(0, len(f"{sessions}") - 2)
    return round(ceil(sessions / unit) * unit)
