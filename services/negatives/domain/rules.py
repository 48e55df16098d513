"""What decides who is positive, who is refused, and how many are taken."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from schemas.base import FieldValue
from shared.catalogue.product_identity import CODES, OVERLAP, TITLES, ProductIdentity

Method = Literal["top", "random"]

OBJECTIVE = frozenset({"click", "add_to_cart", "favourite", "share", "store_visit", "purchase"})


@dataclass(frozen=True, kw_only=True)
class MiningRules:
    """The options of mining; scores are those of the index, grades those of the judgements.

    What the judge may let pass was chosen by human grades (ESCI: 150 queries, twelve logs of 1,000 to 20,000
    sessions, shoppers see what search answers): with 0.1, 12 % of what is mined and was graded is exact after
    all, without the judge 41 %, and 95 % of the queries or more have five; with 0.06, 89 %.
    """

    objective: frozenset[str] = OBJECTIVE
    """Actions that make a positive."""
    positive_grade: float = 1.5
    positive_actions: int = 2
    neutral_grade: float = 1.0
    """From here on a product that was looked at counts as relevant."""
    evidence: float = 1.0
    """Actions expected of an average product from which on a grade says something."""
    skipped_expected: float = 3.0
    """Expected actions without a single one that make a product one that shoppers skipped."""
    passed_expected: float = 4.0
    """Expected actions, for each that a product got and one more, from which on it may have been passed."""
    went_on: float = 0.5
    """Of the actions expected of what stands below it: so many say that shoppers went on to there."""
    margin: float = 0.8
    """Of the weakest positive's score: what is closer may be relevant and was never judged."""
    overlap: float = OVERLAP
    """Jaccard similarity of two titles' words from which on they are the same product."""
    co_positive_limit: int = 20
    """A query with no more positives than that says that they belong together; 0: none does."""
    likely: float = 0.1
    """How much a negative may be like what shoppers choose rather than like the rest, as the judge says."""
    depth: int = 1000
    """How many are retrieved, by vector and by words."""
    first_rank: int = 1
    last_rank: int = 1000
    number: int = 10
    method: Method = "top"
    hard: float = 0.7
    """Of the weakest positive's score; `medium` likewise."""
    medium: float = 0.5
    veto: float = 0.5
    """The cross-encoder's score, from 0 to 1, from which on it takes a candidate for relevant."""
    titles: tuple[str, ...] = TITLES
    codes: tuple[str, ...] = CODES

    @property
    def name(self) -> str:
        """Return what tells these rules from others."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return " ".join(
            f"{name}={sorted(value) if isinstance(value, frozenset) else value}" for name, value in values
        )

    def identity_of(self, attributes: Mapping[str, FieldValue]) -> ProductIdentity:
        """Return which product it is that has these attributes."""
        return ProductIdentity.of(attributes, titles=self.titles, codes=self.codes)

    def threshold(self, weakest: float) -> float:
        """Return the highest score that a negative may have (also where scores are below zero)."""
        return weakest - (1 - self.margin) * abs(weakest)
