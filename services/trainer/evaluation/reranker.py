"""Rerankers and late-interaction models: what they make of the live model's best products.

A reranker that has learned from some hundred queries replaces nothing: its scores are added to those of
the vectors, both scaled per query (Wang et al., "BERT-based dense retrievers require interpolation with
BM25", ICTIR 2021, found the same of models that had learned from half a million).
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Protocol

from services.trainer.evaluation.codes import WHOLE
from services.trainer.evaluation.comparison import AnswerComparison
from services.trainer.evaluation.domain.figures import MetricComparison
from services.trainer.evaluation.domain.fitting import dense_weight
from services.trainer.evaluation.sets import Answers, EmbeddedCorpus, EvaluationSet
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
    """A reranker beside the vectors of `embedded`; a pair is scored once, however many sets ask for it.

    It orders the live model's best as in the funnel, with what was learned among them: most of these have
    been shown, so the log says more of it than of a model that finds others.
    """

    def __init__(
        self,
        sets: Sequence[EvaluationSet],
        embedded: EmbeddedCorpus,
        *,
        corpus: Mapping[str, str],
        reranker: PairScorer,
    ) -> None:
        self._nearest = {
            evaluation_set.name: embedded.nearest(evaluation_set, WHOLE) for evaluation_set in sets
        }
        self._embedded = embedded
        self._corpus = corpus
        self._reranker = reranker
        self._scored: dict[tuple[str, str], float] = {}
        best = {
            product_id
            for nearest in self._nearest.values()
            for row in nearest.values()
            for product_id in row[:DEPTH]
        }
        reranker.prepare(sorted({corpus[product_id] for product_id in best}))

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with the scores that were given so far."""
        scores = [*self._scored.values()]
        if not all(map(isfinite, scores)):
            return ("broken: a score is not finite",)
        return (
            ("broken: every product has the same score",) if len(scores) > 1 and len({*scores}) == 1 else ()
        )

    def compared(self, evaluation_set: EvaluationSet, *, weight: float) -> Iterator[MetricComparison]:
        """Yield how the order by both compares with that of the vectors alone (blocking; minutes)."""
        live, candidate = (self._answers(evaluation_set, of_vectors) for of_vectors in (1.0, weight))
        code = f"best {DEPTH} ordered anew"
        yield from AnswerComparison(evaluation_set, live, candidate, code=code).figures()

    def fitted_weight(self, evaluation_set: EvaluationSet) -> float:
        """Return the weight of the vectors that is best on the set's queries (blocking; minutes)."""

        def figure(weight: float) -> float:
            ordered = self._answers(evaluation_set, weight).ordered
            values = quality.fair_values(evaluation_set.grades, ordered, [quality.CONDENSED])
            return quality.figure(tuple(values[quality.CONDENSED].values())).mean

        return dense_weight(figure)

    def _answers(self, evaluation_set: EvaluationSet, weight: float) -> Answers:
        nearest = {
            query: self._ordered(query, row, weight)
            for query, row in self._nearest[evaluation_set.name].items()
        }
        return self._embedded.answers(evaluation_set, nearest)

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
