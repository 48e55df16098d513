"""Two models side by side: every measure of a set, and what the unknown grades leave open."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from services.trainer.evaluation.codes import LENGTHS, WHOLE, Code, codes
from services.trainer.evaluation.domain import canaries
from services.trainer.evaluation.domain.bounds import completions
from services.trainer.evaluation.domain.figures import (
    MEASURE,
    OPTIMISTIC,
    PESSIMISTIC,
    MetricComparison,
    Shares,
)
from services.trainer.evaluation.domain.statistics import PairedDifference, paired
from services.trainer.evaluation.hybrid import HybridPair
from services.trainer.evaluation.sets import Answers, EmbeddedCorpus, EvaluationSet
from shared.retrieval import quality

SLICE_LEAST = 5
"""Queries without which a slice is not shown."""


@dataclass(frozen=True, slots=True)
class AnswerComparison:
    """What the live model and the candidate answer to one set; `code` says how they came to it."""

    evaluation_set: EvaluationSet
    live: Answers
    candidate: Answers
    code: str

    def figures(self) -> Iterator[MetricComparison]:
        """Yield the fair measures, the bounds, the slices, and last what counts the ungraded as wrong."""
        fair = self._paired(*(self._fair(answers) for answers in (self.live, self.candidate)))
        for name, difference in fair.items():
            yield self._named(name, difference)
        yield from self._bounds()
        yield from self._slices()
        plain = (
            quality.values(self.evaluation_set.grades, answers.ranked)
            for answers in (self.live, self.candidate)
        )
        for name, difference in self._paired(*plain).items():
            yield self._named(name, difference)

    def _bounds(self) -> Iterator[MetricComparison]:
        """Yield the worst and the best that ungraded products can do to the candidate.

        Only where nothing was learned of the query is the first page that a shopper sees the one that is
        judged; of other queries most of what was shown is excluded, and the bounds would say nothing.
        """
        queries = self.evaluation_set.unlearned
        by_query = {
            query: completions(
                self.live.pages[query], self.candidate.pages[query], self.evaluation_set.grades[query]
            )
            for query in queries
        }
        if not queries:
            return
        for place, name in enumerate((PESSIMISTIC, OPTIMISTIC)):
            live = {query: pair[place].live for query, pair in by_query.items()}
            candidate = {query: pair[place].candidate for query, pair in by_query.items()}
            yield self._named(name, paired(live, candidate), shown=self._shares(queries))

    def _slices(self) -> Iterator[MetricComparison]:
        live, candidate = (self._fair(answers)[quality.CONDENSED] for answers in (self.live, self.candidate))
        for part, queries in sorted(self.evaluation_set.slices.items()):
            telling = queries & live.keys()
            if len(telling) >= SLICE_LEAST:
                difference = paired(_only(live, telling), _only(candidate, telling))
                shown = self._shares(sorted(queries))
                yield self._named(quality.CONDENSED, difference, shown=shown, part=part)

    def _shares(self, queries: Sequence[str]) -> Shares:
        pages = (
            {query: of_model[query] for query in queries}
            for of_model in (self.live.pages, self.candidate.pages)
        )
        return shares(self.evaluation_set, *pages)

    def _fair(self, answers: Answers) -> quality.Values:
        return quality.fair_values(self.evaluation_set.grades, answers.ordered)

    @staticmethod
    def _paired(live: quality.Values, candidate: quality.Values) -> dict[str, PairedDifference]:
        return {name: paired(live[name], candidate[name]) for name in live}

    def _named(
        self, name: str, difference: PairedDifference, *, shown: Shares | None = None, part: str = ""
    ) -> MetricComparison:
        return MetricComparison.of(
            self.evaluation_set.name,
            name,
            self.code,
            difference=difference,
            part=part,
            shown=shown or self._shares(self.evaluation_set.queries),
        )


def shares(evaluation_set: EvaluationSet, live: quality.Rankings, candidate: quality.Rankings) -> Shares:
    """Return the share of both models' first pages that was ever shown, by discount, the mean of queries."""
    of_live, of_candidate = (
        fmean(quality.shown_share(row, evaluation_set.ever_shown(query)) for query, row in pages.items())
        for pages in (live, candidate)
    )
    return of_live, of_candidate


def _only(values: Mapping[str, float], queries: frozenset[str]) -> dict[str, float]:
    return {query: values[query] for query in queries}


@dataclass(frozen=True)
class ModelComparison:
    """The shop's search by both models, and the evaluation sets whose queries are asked of it."""

    sets: Sequence[EvaluationSet]
    search: HybridPair

    def deciding(self) -> Iterator[MetricComparison]:
        """Yield, of every set, what a verdict is made of: the pages that shoppers see, or would see."""
        for evaluation_set in self.sets:
            yield from self._pages(evaluation_set)

    def compared(self) -> Iterator[MetricComparison]:
        """Yield, of every set, what decides; then the vectors alone, in every size and precision."""
        live, candidate = self.search.live.embedded, self.search.candidate.embedded
        for evaluation_set in self.sets:
            yield from self._pages(evaluation_set)
            before, after = (
                corpus.answers(evaluation_set, corpus.nearest(evaluation_set, WHOLE))
                for corpus in (live, candidate)
            )
            whole = WHOLE.name(candidate.dimensions)
            yield from AnswerComparison(evaluation_set, before, after, code=whole).figures()
            for code in codes(LENGTHS):
                if code != WHOLE:
                    yield compare_vectors(evaluation_set, live, candidate, code=code)

    def _pages(self, evaluation_set: EvaluationSet) -> Iterator[MetricComparison]:
        live, candidate = (
            search.answers(evaluation_set) for search in (self.search.live, self.search.candidate)
        )
        yield from AnswerComparison(evaluation_set, live, candidate, code=self.search.mode).figures()

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with the candidate itself, whatever its figures are."""
        live, candidate = self.search.live, self.search.candidate
        if candidate.embedded.is_degenerate and not live.embedded.is_degenerate:
            return ("broken: all products have nearly the same vector",)
        asked = canaries.askable(live.shop.canaries, frozenset(live.words.ids))
        return canaries.failed(asked, live=live.page, candidate=candidate.page)


def compare_vectors(
    evaluation_set: EvaluationSet, live: EmbeddedCorpus, candidate: EmbeddedCorpus, *, code: Code = WHOLE
) -> MetricComparison:
    """Return the comparison of both models' vectors in one code; what nobody graded counts as wrong."""
    nearest = [corpus.nearest(evaluation_set, code) for corpus in (live, candidate)]
    values = (
        quality.values(evaluation_set.grades, evaluation_set.judged_part(rows), [MEASURE])[MEASURE]
        for rows in nearest
    )
    return MetricComparison.of(
        evaluation_set.name,
        MEASURE,
        code.name(candidate.dimensions),
        difference=paired(*values),
        shown=shares(evaluation_set, *nearest),
    )
