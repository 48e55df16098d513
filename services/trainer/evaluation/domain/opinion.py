"""What two first pages are probably worth, when a judge of relevance estimates what nobody graded.

The estimate is no truth. The judge learned from what shoppers were shown, and what they were never shown is
unlike it: no formula mends that. Its error is measured where it can be, on graded pairs that another ranker
would have hidden (`JudgeError`). That of other pairs may be greater, so the opinion refuses or sizes a trial,
and never admits (after Carterette, Allan and Sitaraman, "Minimal test collections for retrieval evaluation",
SIGIR 2006, who compare rankings by estimated relevance).
"""

from collections.abc import Mapping, Sequence
from math import fsum
from statistics import fmean
from typing import Annotated, NamedTuple

from pydantic import Field

from schemas.base import Score, Value
from services.trainer.evaluation.domain.figures import MetricComparison
from services.trainer.evaluation.domain.statistics import paired
from services.trainer.evaluation.domain.verdict import (
    AdmissionTerms,
    CandidateVerdict,
    SecondOpinion,
    decide,
)
from shared.retrieval import quality

LEAST = 20
"""Queries with hidden pairs without which the judge's error is unknown."""
GREATEST_EFFECT = 0.1
"""Relative: an estimate is not trusted to make a trial shorter than one of such a gain."""
_BEST = max(quality.GAINS.values())


class JudgedGain(NamedTuple):
    """A graded pair: what the judge says of it, not having learned from its query, and what it is worth."""

    likelihood: float
    gain: float
    """Of its grade, 0 to 1."""
    hidden: bool
    """Whether another ranker would not have shown it."""


class JudgeError(Value):
    """How gains follow from likelihoods, and how wrong that is of pairs that would have been hidden."""

    rate: Score
    """Gain for each likelihood, of pairs that would have been shown."""
    bias: Score
    """Mean of expected minus graded gain, of those that would have been hidden; each query once."""
    half_width: Score
    """Of the bias, at 95 %."""

    @classmethod
    def of(cls, pairs: Mapping[str, Sequence[JudgedGain]]) -> "JudgeError | None":
        """Return the error on these, by query; None: too few queries have a hidden pair, or none a shown."""
        shown = [pair for row in pairs.values() for pair in row if not pair.hidden]
        likely = fsum(pair.likelihood for pair in shown)
        if not likely:
            return None
        rate = fsum(pair.gain for pair in shown) / likely
        hidden = [[pair for pair in row if pair.hidden] for row in pairs.values()]
        errors = [fmean(rate * pair.likelihood - pair.gain for pair in row) for row in hidden if row]
        if len(errors) < LEAST:
            return None
        bias = quality.figure(errors)
        return cls(rate=rate, bias=bias.mean, half_width=bias.half_width)

    def gain(self, likelihood: float) -> float:
        """Return the expected gain of a product that nobody graded, its bias taken out, 0 to 1."""
        return max(0.0, min(1.0, self.rate * likelihood - self.bias))

    @property
    def reach(self) -> float:
        """How far any expected gain may be off."""
        return abs(self.bias) + self.half_width


class FirstPages(NamedTuple):
    """Both models' first pages of a query, what is known of it, and what is said of the rest of both."""

    live: Sequence[str]
    candidate: Sequence[str]
    grades: Mapping[str, int]
    likelihoods: Mapping[str, float]


class MissingEstimate(Value):
    """The difference in nDCG@10 with what nobody graded at its expected gain; 95 % between `low` and `high`.

    The interval is of the queries (paired bootstrap), widened on both sides by the judge's error as if it
    lay wholly on the products that one page has and the other has not.
    """

    live: Score
    candidate: Score
    low: Score
    high: Score
    queries: Annotated[int, Field(ge=0)]
    error: JudgeError

    @classmethod
    def of(cls, pages: Mapping[str, FirstPages], error: JudgeError) -> "MissingEstimate":
        """Return the estimate of these pages, by query."""
        estimates = {query: _estimated(of_query, error) for query, of_query in pages.items()}
        difference = paired(
            {query: estimate.live for query, estimate in estimates.items()},
            {query: estimate.candidate for query, estimate in estimates.items()},
        )
        at_stake = fmean(estimate.at_stake for estimate in estimates.values()) if estimates else 0.0
        widening = error.reach * at_stake
        return cls(
            live=difference.live,
            candidate=difference.candidate,
            low=difference.low - widening,
            high=difference.high + widening,
            queries=difference.count,
            error=error,
        )

    @property
    def difference(self) -> float:
        """Candidate minus live."""
        return self.candidate - self.live

    def opinion(self, terms: AdmissionTerms) -> SecondOpinion | None:
        """Return what follows: refused when the whole interval is below what is worse; None: too little."""
        if self.queries < terms.least or not self.live:
            return None
        refused = self.high < -terms.worse
        return SecondOpinion(
            answer="refused" if refused else "undecided",
            words=f"{'probably worse' if refused else 'an estimate, no proof'}: {self.words()}",
            effect=max(0.0, min(GREATEST_EFFECT, self.difference / self.live)),
        )

    def words(self) -> str:
        """Return it as a phrase."""
        return (
            f"a judge that learned from this shop gives what nobody graded a worth that makes nDCG@10 "
            f"{self.live:.4f} -> {self.candidate:.4f} ({self.difference:+.4f}, 95 % {self.low:+.4f} to "
            f"{self.high:+.4f} with its own error, {self.queries} queries); of what another ranker would "
            f"have hidden it is off by {self.error.bias:+.3f} of a gain"
        )


def decide_with(
    estimate: MissingEstimate | None,
    comparisons: Sequence[MetricComparison],
    terms: AdmissionTerms,
    *,
    faults: Sequence[str] = (),
) -> CandidateVerdict:
    """Return the verdict of what is known, with an opinion on what is missing unless it is proven better.

    An admitted candidate is better whatever is true of what nobody graded, so that no estimate has a say.
    """
    alone = decide(comparisons, terms, faults=faults)
    if estimate is None or alone.answer == "admitted":
        return alone
    return decide(comparisons, terms, faults=faults, opinion=estimate.opinion(terms))


def worth(grade: int) -> float:
    """Return the gain of a whole grade, 0 to 1."""
    return quality.GAINS.get(grade, 0) / _BEST


class _Estimated(NamedTuple):
    live: float
    candidate: float
    at_stake: float
    """What an error of 1 in every expected gain may change the difference by."""


def _estimated(pages: FirstPages, error: JudgeError) -> _Estimated:
    known = {product_id: worth(grade) for product_id, grade in pages.grades.items()}
    gains = known | {product_id: error.gain(said) for product_id, said in pages.likelihoods.items()}
    ideal = _discounted(sorted(gains.values(), reverse=True))
    if not ideal:
        return _Estimated(0.0, 0.0, 0.0)
    live, candidate = (dict(zip(page, quality.DISCOUNTS, strict=False)) for page in pages[:2])
    at_stake = fsum(
        abs(candidate.get(product_id, 0.0) - live.get(product_id, 0.0)) for product_id in pages.likelihoods
    )
    before, after = (_discounted([gains[product_id] for product_id in page]) for page in pages[:2])
    return _Estimated(before / ideal, after / ideal, at_stake / ideal)


def _discounted(gains: Sequence[float]) -> float:
    return fsum(gain * place for gain, place in zip(gains, quality.DISCOUNTS, strict=False))
