"""A judge of what is missing: learned from the queries that the miner's judge has not learned from."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from services.trainer.dataset.domain.dataset import Dataset
from services.trainer.evaluation.domain.figures import HELD_OUT
from services.trainer.evaluation.domain.opinion import (
    FirstPages,
    JudgedGain,
    JudgeError,
    MissingEstimate,
    worth,
)
from services.trainer.evaluation.hybrid import HybridPair, HybridSearch
from services.trainer.evaluation.sets import EvaluationSet, evaluation_sets
from shared.catalogue.words import covered, telling_words
from shared.relevance.judge import CrossFitted, RelevanceJudge, share_of_weakest, teaches_miner
from shared.relevance.learning import FAR_WEIGHT, JudgedPair, cross_fitted, far
from shared.retrieval import quality

MOST = 1000
"""Queries that teach: more of them change nothing."""
NEAREST = 1000
"""Products by cosine, of whose farther half some stand for what nobody would choose."""


def taught_by(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Return the grades of the queries that teach the gate's judge: learned ones, not the miner's."""
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for pair in dataset.of("train"):
        if not pair.augmented and not teaches_miner(pair.query):
            grades[pair.query][pair.product_id] = quality.whole_grade(pair.grade)
    names = sorted(grades)
    return {query: grades[query] for query in names[:: max(1, len(names) // MOST)][:MOST]}


def missing_estimate(dataset: Dataset, search: HybridPair) -> MissingEstimate | None:
    """Return both models' difference on all held-out queries, with what nobody graded at its expected gain.

    The live model's vectors of the queries of `taught_by` must be there. None: there is nothing to judge, too
    few queries teach, or the judge is no better than the cosine on queries that it has not learned from.
    """
    held_out = next((one_set for one_set in evaluation_sets(dataset) if one_set.name == HELD_OUT), None)
    if held_out is None:
        return None
    sight = _Sight(search.live, dataset)
    grades = taught_by(dataset)
    judges = cross_fitted({query: pairs for query in grades if (pairs := sight.lesson(query, grades[query]))})
    if judges is None or judges.loss is None or judges.cosine_loss is None:
        return None
    if judges.loss >= judges.cosine_loss:
        return None
    gains = {query: list(sight.judged(query, grades[query], judges.of(query))) for query in grades}
    error = JudgeError.of(gains)
    if error is None:
        return None
    return MissingEstimate.of(dict(_pages(held_out, search, sight=sight, judges=judges)), error)


def _pages(
    evaluation_set: EvaluationSet, search: HybridPair, *, sight: "_Sight", judges: CrossFitted
) -> Iterator[tuple[str, FirstPages]]:
    """Yield the pages of each query of which nothing was learned and something right is known."""
    for query in evaluation_set.unlearned:
        grades = evaluation_set.grades[query]
        weakest = sight.weakest(query, _right(grades))
        if weakest is None:
            continue
        live, candidate = search.live.page(query), search.candidate.page(query)
        unknown = sorted({*live, *candidate} - grades.keys())
        judge, seen = judges.of(query), sight.shares(query, unknown, weakest)
        said = {
            product_id: judge.likelihood(*shares) for product_id, shares in zip(unknown, seen, strict=True)
        }
        yield query, FirstPages(live, candidate, grades, said)


def _right(grades: Mapping[str, int]) -> frozenset[str]:
    return frozenset(product_id for product_id, grade in grades.items() if grade >= quality.RELEVANT)


class _Shares(NamedTuple):
    """What the judge knows of a product and a query."""

    cosine: float
    words: float


@dataclass(frozen=True)
class _Sight:
    """What the judge sees: the live model's vectors, and the words of the products."""

    live: HybridSearch
    dataset: Dataset

    @cached_property
    def _words(self) -> dict[str, frozenset[str]]:
        return {
            product.product_id: telling_words("\n".join((product.text, *product.fields.values())))
            for product in self.dataset.products
        }

    def weakest(self, query: str, right: Collection[str]) -> float | None:
        """Return the cosine of the right product that is farthest from the query; None: there is none."""
        there = sorted(self._words.keys() & right)
        return min(self.live.embedded.cosines(query, there), default=None) if there else None

    def shares(self, query: str, ids: Sequence[str], weakest: float) -> list[_Shares]:
        """Return what the judge knows of each product."""
        wanted = telling_words(query)
        return [
            _Shares(share_of_weakest(cosine, weakest), covered(wanted, self._words[product_id]))
            for product_id, cosine in zip(ids, self.live.embedded.cosines(query, ids), strict=True)
        ]

    def lesson(self, query: str, grades: Mapping[str, int]) -> list[JudgedPair]:
        """Return what a query teaches: what is right, each beside the others that are, and what is far."""
        right = _right(grades) & self._words.keys()
        weakest = self.weakest(query, right)
        if weakest is None:
            return []
        others = self.shares(query, self._far(query, grades), weakest)
        pairs = [JudgedPair(*shares, False, FAR_WEIGHT) for shares in others]
        for product_id in sorted(right):
            weakest = self.weakest(query, right - {product_id})
            if weakest is not None:
                [shares] = self.shares(query, [product_id], weakest)
                pairs.append(JudgedPair(*shares, True, 1.0))
        return pairs

    def judged(self, query: str, grades: Mapping[str, int], judge: RelevanceJudge) -> Iterator[JudgedGain]:
        """Yield what a judge says of the graded products, as if it knew only those that words would show."""
        shown = self._shown_by_words(query, grades)
        right = _right(grades) & shown
        for product_id in sorted(self._words.keys() & grades):
            weakest = self.weakest(query, right - {product_id})
            if weakest is not None:
                [shares] = self.shares(query, [product_id], weakest)
                gain = worth(grades[product_id])
                yield JudgedGain(judge.likelihood(*shares), gain, hidden=product_id not in shown)

    def _far(self, query: str, grades: Mapping[str, int]) -> Sequence[str]:
        embedded = self.live.embedded
        nearest = np.argsort(-embedded.nearness(query), kind="stable")[:NEAREST]
        return far([embedded.ids[place] for place in nearest], grades.__contains__)

    def _shown_by_words(self, query: str, grades: Mapping[str, int]) -> frozenset[str]:
        """Return the first page of word search; where it finds nothing, the nearer half of the graded."""
        scores = self.live.words.scores(query)
        if not scores.any():
            ordered = self.live.embedded.ordered(query, grades)
            return frozenset(ordered[: (len(ordered) + 1) // 2])
        page = np.argsort(-scores, kind="stable")[: quality.FIRST_PAGE]
        return frozenset(self.live.words.ids[place] for place in page if scores[place])
