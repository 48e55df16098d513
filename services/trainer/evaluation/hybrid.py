"""Words beside vectors: what shoppers see by a model, and which weight suits it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.trainer.evaluation.domain.fitting import dense_weight
from services.trainer.evaluation.sets import FARTHEST, Answers, EmbeddedCorpus, EvaluationSet
from services.trainer.evaluation.settings import SearchMode, ShopSearch
from services.trainer.evaluation.words import Words
from shared.retrieval import quality
from shared.retrieval.fusion import SCALES, Candidates, Tiers, tiered

FIT_LEAST = 20
"""Queries without which neither threshold nor weight is fitted: search keeps its own."""


class ScoredProduct(NamedTuple):
    """A product of an answer, with the score that it is ranked by."""

    product_id: str
    score: float


class _Candidates(NamedTuple):
    """What the shards propose for a query, ascending by id, with both scores.

    None: it has no vector; 0: it has none of the words.
    """

    ids: Sequence[str]
    dense: Sequence[float | None]
    lexical: Sequence[float]


@dataclass(frozen=True)
class HybridSearch:
    """The shop's hybrid search among the products of a data set, with one model's vectors.

    Raises `ValueError` when words and vectors are not of the same products. Approximate indexes and a
    reranker aside, it answers as search does: every shard proposes its best by vector and by words, and both
    scores of all of them are fused.
    """

    embedded: EmbeddedCorpus
    words: Words
    shop: ShopSearch
    weight: float
    """Of vectors."""
    _answered: dict[tuple[str, int], Sequence[ScoredProduct]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if list(self.embedded.ids) != self.words.ids:
            raise ValueError("words and vectors are of different products")

    def weighing(self, weight: float) -> "HybridSearch":
        """Return the same search with another weight of vectors."""
        return replace(self, weight=weight, _answered={})

    def answer(self, query: str, k: int = quality.FIRST_PAGE) -> Sequence[ScoredProduct]:
        """Return everything that the shards propose to one who wants `k` products, best first."""
        tiers = Tiers.of(k, self.shop.pages.depth)
        if (query, tiers.last) not in self._answered:
            candidates = self._candidates(query, tiers.last)
            self._answered[query, tiers.last] = self._fused(candidates, self.weight, tiers)
        return self._answered[query, tiers.last]

    def ranked(self, query: str) -> list[str]:
        """Return everything that the shards propose to one who wants a first page, best first."""
        return _ids(self.answer(query))

    def page(self, query: str, k: int = quality.FIRST_PAGE) -> list[str]:
        """Return the first `k` products, as to one who wants so many."""
        return _ids(self.answer(query, k)[:k])

    def answers(self, evaluation_set: EvaluationSet) -> Answers:
        """Return the answers to the queries of a set; what no shard proposes comes last, by cosine."""
        nearest = {query: self.ranked(query) for query in evaluation_set.queries}
        return self.embedded.answers(evaluation_set, nearest)

    def fitted_weight(self, evaluation_set: EvaluationSet) -> float | None:
        """Return the weight that is best for this model on the set's queries, by what was graded alone.

        None where there are too few.
        """
        if len(evaluation_set.grades) < FIT_LEAST:
            return None
        depth = self.shop.pages.depth
        tiers = Tiers(depth, depth)
        by_query = {query: self._candidates(query, depth) for query in evaluation_set.queries}

        def figure(weight: float) -> float:
            nearest = {query: _ids(self._fused(by_query[query], weight, tiers)) for query in by_query}
            return condensed_figure(evaluation_set, self.embedded.answers(evaluation_set, nearest))

        return dense_weight(figure)

    def _candidates(self, query: str, depth: int) -> _Candidates:
        dense = self.embedded.nearness(query)
        lexical = self.words.scores(query)
        by_vector = _best(dense, np.flatnonzero(dense > FARTHEST), depth)
        by_words = _best(lexical, np.flatnonzero(lexical > 0), depth)
        places = sorted({*by_vector, *by_words})
        ids = [self.words.ids[place] for place in places]
        cosines = [cosine if cosine > FARTHEST else None for cosine in dense[places].tolist()]
        return _Candidates(ids, cosines, lexical[places].tolist())

    def _fused(self, candidates: _Candidates, weight: float, tiers: Tiers) -> list[ScoredProduct]:
        matching = [score or None for score in candidates.lexical]
        scale = SCALES[self.shop.pages.fusion.method]
        scores = Candidates(candidates.dense, matching)
        fused = tiered(scores, weight, scale=scale, tiers=tiers)
        return [ScoredProduct(candidates.ids[place], score) for place, score in fused]


def condensed_figure(evaluation_set: EvaluationSet, answers: Answers) -> float:
    """Return the mean of condensed nDCG@10: what weights are fitted by."""
    values = quality.fair_values(evaluation_set.grades, answers.ordered, [quality.CONDENSED])
    return quality.figure(tuple(values[quality.CONDENSED].values())).mean


def _ids(products: Sequence[ScoredProduct]) -> list[str]:
    return [product.product_id for product in products]


def _best(scores: NDArray[np.float32], places: NDArray[np.int64], depth: int) -> list[int]:
    """Return the places with the highest scores; of equal ones those that come first."""
    order = np.argsort(-scores[places], kind="stable")[:depth]
    best: list[int] = places[order].tolist()
    return best


@dataclass(frozen=True)
class HybridPair:
    """The shop's search by both models, each with the weight that it is, or would be, served with.

    `fitted` is the weight that was fitted for the candidate, if any was.
    """

    live: HybridSearch
    candidate: HybridSearch
    fitted: float | None

    @property
    def mode(self) -> SearchMode:
        """What the shop's front end asks for."""
        return self.live.shop.mode

    @classmethod
    def of(
        cls,
        live: EmbeddedCorpus,
        candidate: EmbeddedCorpus,
        words: Words,
        *,
        shop: ShopSearch,
        fit_set: EvaluationSet,
    ) -> "HybridPair":
        """Return the pair; `fit_set` has the queries that the candidate's weight is fitted on."""
        search = HybridSearch(candidate, words, shop, shop.live_weight)
        fitted = search.fitted_weight(fit_set)
        return cls(
            live=HybridSearch(live, words, shop, shop.live_weight),
            candidate=search.weighing(shop.candidate_weight(fitted)),
            fitted=fitted,
        )
