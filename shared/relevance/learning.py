"""How a judge of relevance learns: from what shoppers chose, held against what is far from the query."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import log
from typing import NamedTuple, TypeVar

import numpy as np
from sklearn.linear_model import LogisticRegression

from shared.relevance.judge import FOLDS, UNTAUGHT, CrossFitted, RelevanceJudge, fold

LEAST = 20
"""Queries without which nothing is learned."""
FAR = 10
"""Products that stand for the rest of the catalogue, of each query."""
FAR_WEIGHT = 0.5
CAUTION = 1e-6
T = TypeVar("T")


class JudgedPair(NamedTuple):
    """A product beside a query, as a judge sees it."""

    cosine: float
    """As a share of that of the weakest right product."""
    words: float
    """Share of the query's words that its text has."""
    chosen: bool
    """By shoppers; else it is far from the query, and stands for the rest of the catalogue."""
    weight: float
    """How much it counts, 0 to 1."""


Pairs = Mapping[str, Sequence[JudgedPair]]
"""By query."""


def far(nearest: Sequence[T], known: Callable[[T], bool]) -> Sequence[T]:
    """Return some of the farther half of what is near, evenly spaced, without what is known already."""
    farther = [one for one in nearest[len(nearest) // 2 :] if not known(one)]
    return farther[:: max(1, len(farther) // FAR)][:FAR]


def cross_fitted(pairs: Pairs) -> CrossFitted | None:
    """Return the judges that these pairs teach, each without one part of the queries; None: too few pairs.

    The words have a say only where that is worth it on queries that were not learned from, by log loss.
    """
    if len(pairs) < LEAST:
        return None
    (both, loss), (cosine_alone, cosine_loss) = (_fitted(pairs, words=words) for words in (True, False))
    whole, *parts = both if loss < cosine_loss else cosine_alone
    return CrossFitted(
        whole=whole,
        parts=tuple(parts),
        queries=len(pairs),
        pairs=sum(map(len, pairs.values())),
        loss=min(loss, cosine_loss),
        cosine_loss=cosine_loss,
    )


def _fitted(pairs: Pairs, *, words: bool) -> tuple[list[RelevanceJudge], float]:
    """Return the judge of all queries, then those without each part, and these ones' log loss on it."""
    parts = [{query: row for query, row in pairs.items() if fold(query) == part} for part in range(FOLDS)]
    judges = [
        _fit({query: row for query, row in pairs.items() if query not in part}, words=words) for part in parts
    ]
    loss = sum(_loss(judge, part) for judge, part in zip(judges, parts, strict=True))
    weight = sum(pair.weight for pair in _all(pairs))
    return [_fit(pairs, words=words), *judges], loss / max(weight, CAUTION)


def _fit(pairs: Pairs, *, words: bool) -> RelevanceJudge:
    """Return the judge that is likeliest, with a normal prior on what the two shares add.

    Neither share may speak against relevance: one that seems to has no say. Pairs of one kind teach nothing.
    """
    judged = list(_all(pairs))
    chosen = np.array([pair.chosen for pair in judged], bool)
    if chosen.all() or not chosen.any():
        return UNTAUGHT
    features = np.array([(pair.cosine, pair.words * words) for pair in judged])
    weights = np.array([max(pair.weight, CAUTION) for pair in judged])
    model = LogisticRegression(C=1.0, solver="newton-cholesky").fit(features, chosen, sample_weight=weights)
    of_cosine, of_words = (float(share) for share in model.coef_[0])
    if words and of_words < 0:
        return _fit(pairs, words=False)
    return RelevanceJudge(float(model.intercept_[0]), max(0.0, of_cosine), of_words)


def _loss(judge: RelevanceJudge, pairs: Pairs) -> float:
    """Return the sum of the log loss of what a judge says of these, each by its weight."""
    loss = 0.0
    for pair in _all(pairs):
        likelihood = judge.likelihood(pair.cosine, pair.words)
        said = likelihood if pair.chosen else 1 - likelihood
        loss -= pair.weight * log(max(said, CAUTION))
    return loss


def _all(pairs: Pairs) -> Iterator[JudgedPair]:
    return (pair for row in pairs.values() for pair in row)
