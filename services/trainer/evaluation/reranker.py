"""Rerankers and late-interaction models: what they make of the best products of the live search.

A reranker that has learned from some hundred queries replaces nothing: its scores are added to those of
the search before it, both scaled per query (Wang et al., "BERT-based dense retrievers require interpolation
with BM25", ICTIR 2021, found the same of models that had learned from half a million).
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Protocol

from services.trainer.evaluation.comparison import AnswerComparison
from services.trainer.evaluation.domain import canaries
from services.trainer.evaluation.domain.figures import MetricComparison
from services.trainer.evaluation.domain.fitting import dense_weight
from services.trainer.evaluation.hybrid import HybridSearch, condensed_figure
from services.trainer.evaluation.sets import Answers, EvaluationSet
from shared.retrieval import quality
from shared.retrieval.fusion import weighted

DEPTH = 20
"""Products that the reranker of the funnel orders anew."""
UNFITTED = 0.8
"""Weight of what search answers without it when there are too few validation queries to fit it: the reranker
may correct."""


class PairScorer(Protocol):
    """What the evaluation needs of a reranker: any trainable model has it."""

    def prepare(self, texts: Sequence[str]) -> None:
        """Get ready to score these texts."""

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Return how well each text answers the query."""


class RerankerEvaluation:
    """A reranker after the live model's search; a pair is scored once, however many sets ask for it.

    It orders the best of `search` as in the funnel, with what was learned among them: most of these have
    been shown, so the log says more of it than of a model that finds others. `queries` are all that it will
    be asked.
    """

    def __init__(
        self,
        queries: Sequence[str],
        search: HybridSearch,
        *,
        corpus: Mapping[str, str],
        reranker: PairScorer,
    ) -> None:
        self._search = search
        self._corpus = corpus
        self._reranker = reranker
        self._scored: dict[tuple[str, str], float] = {}
        best = {product.product_id for query in queries for product in search.answer(query)[:DEPTH]}
        reranker.prepare(sorted({corpus[product_id] for product_id in best}))

    def faults(self, weight: float) -> tuple[str, ...]:
        """Return what is wrong with the scores that were given so far, and which canaries it fails."""
        scores = [*self._scored.values()]
        if not all(map(isfinite, scores)):
            return ("broken: a score is not finite",)
        if len(scores) > 1 and len({*scores}) == 1:
            return ("broken: every product has the same score",)
        asked = canaries.askable(self._search.shop.canaries, self._corpus.keys())
        return canaries.failed(
            asked,
            live=self._search.page,
            candidate=lambda query, k: self._ordered(query, weight, k)[:k],
        )

    def compared(self, evaluation_set: EvaluationSet, *, weight: float) -> Iterator[MetricComparison]:
        """Yield how the order by both compares with that of search alone (blocking; minutes)."""
        live, candidate = (self._answers(evaluation_set, of_search) for of_search in (1.0, weight))
        code = f"best {DEPTH} ordered anew"
        yield from AnswerComparison(evaluation_set, live, candidate, code=code).figures()

    def fitted_weight(self, evaluation_set: EvaluationSet) -> float:
        """Return the weight of search's own order that is best on the set's queries (blocking; minutes)."""
        return dense_weight(
            lambda weight: condensed_figure(evaluation_set, self._answers(evaluation_set, weight))
        )

    def _answers(self, evaluation_set: EvaluationSet, weight: float) -> Answers:
        nearest = {query: self._ordered(query, weight) for query in evaluation_set.queries}
        return self._search.embedded.answers(evaluation_set, nearest)

    def _ordered(self, query: str, weight: float, k: int = quality.FIRST_PAGE) -> list[str]:
        products = self._search.answer(query, k)
        ids = [product.product_id for product in products]
        if weight == 1.0:
            return ids
        best = ids[:DEPTH]
        own = [product.score for product in products[:DEPTH]]
        scores = weighted(own, self._scores(query, best), weight)
        order = sorted(range(len(best)), key=lambda place: (-scores[place], place))
        return [*(best[place] for place in order), *ids[DEPTH:]]

    def _scores(self, query: str, ids: Sequence[str]) -> list[float]:
        missing = [product_id for product_id in ids if (query, product_id) not in self._scored]
        if missing:
            scores = self._reranker.score(query, [self._corpus[product_id] for product_id in missing])
            for product_id, score in zip(missing, scores, strict=True):
                self._scored[query, product_id] = score
        return [self._scored[query, product_id] for product_id in ids]
