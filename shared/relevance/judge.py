"""A judge of what nobody was shown: how much a product is like what shoppers choose for a query.

It knows the product's vector and its words, and learns what shoppers chose from what is far (Elkan and Noto,
"Learning classifiers from only positive and unlabeled data", KDD 2008): what was shown and not chosen teaches
nothing, since shoppers may have stopped before it. Pairs that were never shown are unlike those that were, so
what it says is no truth: on logs of a catalogue that people graded it tells which unseen products are exact
with an area under the curve of .65, the cosine alone with .61. That is enough to leave out what is probably
relevant; that a product is right it never says.
"""

from collections.abc import Callable
from hashlib import blake2b
from math import exp
from typing import NamedTuple

from schemas.base import Value

FOLDS = 5
"""Parts of the queries, each judged by a judge that learned from the others (cross-fitting)."""


class RelevanceJudge(NamedTuple):
    """A logistic model of two shares."""

    intercept: float
    cosine: float
    """Of the cosine, as a share of that of the weakest right product."""
    words: float
    """Of the share of the query's words that the product's text has; never below 0."""

    def likelihood(self, cosine: float, words: float) -> float:
        """Return how likely a product of these shares is chosen rather than far, 0 to 1."""
        return 1 / (1 + exp(-self.logit(cosine, words)))

    def finds(self, cosine: float, words: Callable[[], float], *, likely: float) -> bool:
        """Whether it is at least that likely; the words are read only where they decide."""
        if self.likelihood(cosine, 0.0) >= likely:
            return True
        return self.likelihood(cosine, 1.0) >= likely and self.likelihood(cosine, words()) >= likely

    def logit(self, cosine: float, words: float) -> float:
        """Return the log odds of it."""
        return self.intercept + self.cosine * cosine + self.words * words


UNTAUGHT = RelevanceJudge(-6.4, 6.1, 4.8)
"""The middle of what simulated logs taught, of three kinds of shoppers; until a shop has its own."""


class CrossFitted(Value):
    """Judges that learned from a shop's own judgements, and what they learned from."""

    whole: RelevanceJudge = UNTAUGHT
    parts: tuple[RelevanceJudge, ...] = ()
    """Of each fold the one that has not learned from its queries."""
    queries: int = 0
    """That taught; 0: nobody did."""
    pairs: int = 0
    loss: float | None = None
    """Mean log loss on queries that a judge had not learned from."""
    cosine_loss: float | None = None
    """That of a judge that knows the cosine alone."""

    def of(self, query: str) -> RelevanceJudge:
        """Return the judge of a query: one that has not learned from it."""
        return self.parts[fold(query)] if self.parts else self.whole

    def is_near(self, other: "CrossFitted", tolerance: float = 0.25) -> bool:
        """Whether both say nearly the same everywhere: log odds that differ by no more than that."""
        corners = ((0.0, 0.0), (0.0, 1.0), (0.8, 0.0), (0.8, 1.0))
        return all(
            abs(self.whole.logit(*corner) - other.whole.logit(*corner)) <= tolerance for corner in corners
        )


UNTAUGHT_JUDGES = CrossFitted()


def share_of_weakest(dense: float, weakest: float) -> float:
    """Return a score as a share of the weakest positive's, -1 to 1.5; 1 where that has no meaning."""
    return max(-1.0, min(1.5, dense / weakest)) if weakest > 0 else 1.0


def fold(query: str) -> int:
    """Return the part that a query belongs to, always the same."""
    return (_lot(query) >> 1) % FOLDS


def teaches_miner(query: str) -> bool:
    """Whether the judge of hard negatives learns from a query; the gate's judge learns from the others.

    A candidate is fitted with the negatives that the one left over: the other must not have the same errors.
    """
    return _lot(query) % 2 == 0


def _lot(query: str) -> int:
    return int.from_bytes(blake2b(query.encode(), digest_size=8, person=b"judge").digest())
