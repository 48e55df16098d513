"""Rerankers and late-interaction models: what they make of the live model's best products.

A reranker that has learned from some hundred queries replaces nothing: its scores are added to those of
the vectors, both scaled per query (Wang et al., "BERT-based dense retrievers require interpolation with
BM25", ICTIR 2021, found the same of models that had learned from half a million).
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Protocol

from services.trainer.evaluation.codes import WHOLE
from services.trainer.evaluation.domain.fitting import dense_weight
from services.trainer.evaluation.domain.statistics import paired
from services.trainer.evaluation.domain.verdict import MEASURE, MetricComparison
from services.trainer.evaluation.sets import EmbeddedCorpus, EvaluationSet
from shared.retrieval import quality
from shared.retrieval.fusion import weighted

DEPTH = 20
"""Products that the reranker of the funnel orders anew."""
UNFITTED = 0.8
"""Weight of the vectors when there are too few validation queries to fit it: the reranker may correct."""


class PairScorer(Protocol):
    """What the evaluation needs of a reranker: any trainable model has it."""

    def prepare(self, texts: Sequence[str]) -> None:
        """Get ready to score these texts."""

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Return how well each text answers the query."""


class RerankerEvaluation:
    """A reranker beside the vectors of `embedded`; a pair is scored once, however many sets ask for it."""

    def __init__(
        self,
        sets: Sequence[EvaluationSet],
        embedded: EmbeddedCorpus,
        *,
        corpus: Mapping[str, str],
        reranker: PairScorer,
    ) -> None:
        self._first = {evaluation_set.name: embedded.ranked(evaluation_set, WHOLE) for evaluation_set in sets}
        self._embedded = embedded
        self._corpus = corpus
        self._reranker = reranker
        self._scored: dict[tuple[str, str], float] = {}
        best = {
            product_id
            for ranked in self._first.values()
            for row in ranked.values()
            for product_id in row[:DEPTH]
        }
        reranker.prepare(sorted({corpus[product_id] for product_id in best}))

    def compared(self, evaluation_set: EvaluationSet, *, weight: float) -> MetricComparison:
        """Return how the order by both compares with that of the vectors alone (blocking; minutes)."""
        difference = paired(self._values(evaluation_set, 1.0), self._values(evaluation_set, weight))
        return MetricComparison.of(
            evaluation_set.name, MEASURE, f"best {DEPTH} ordered anew", difference=difference
        )

    def fitted_weight(self, evaluation_set: EvaluationSet) -> float:
        """Return the weight of the vectors that is best on the set's queries (blocking; minutes)."""

        def figure(weight: float) -> float:
            return fmean(self._values(evaluation_set, weight).values())

        return dense_weight(figure)

    def _values(self, evaluation_set: EvaluationSet, weight: float) -> Mapping[str, float]:
        first = self._first[evaluation_set.name]
        ranked = {query: self._ordered(query, row, weight) for query, row in first.items()}
        return quality.values(evaluation_set.grades, ranked, [MEASURE])[MEASURE]

    def _ordered(self, query: str, row: Sequence[str], weight: float) -> list[str]:
        best = row[:DEPTH]
        if weight == 1.0:
            return list(row)
        scores = weighted(self._embedded.cosines(query, best), self._scores(query, best), weight)
        order = sorted(range(len(best)), key=lambda place: (-scores[place], place))
        return [*(best[place] for place in order), *row[DEPTH:]]

    def _scores(self, query: str, ids: Sequence[str]) -> list[float]:
        missing = [product_id for product_id in ids if (query, product_id) not in self._scored]
        if missing:
            scores = self._reranker.score(query, [self._corpus[product_id] for product_id in missing])
            for product_id, score in zip(missing, scores, strict=True):
                self._scored[query, product_id] = score
        return [self._scored[query, product_id] for product_id in ids]
