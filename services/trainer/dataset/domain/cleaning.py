"""Which queries and judgements are worth learning from, and why the others are not."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.judgements import Judgement
from services.trainer.dataset.domain.selection import DatasetSelection
from shared.catalogue.words import words_of

MACHINE = re.compile(
    r"https?:|www\.|<[a-z/!]|[{}\\]|\.\./|\bunion\s+select\b|\bor\s+1=1\b|&&|\$\(|@.+\.|[0-9a-f]{16}"
)
"""Addresses, markup, injections, digests: what machines type."""
LONGEST_WORD = 40


class Removed(StrEnum):
    """Why something is not in the data set."""

    UNREADABLE = "unreadable"
    TOO_SHORT = "query_too_short"
    TOO_LONG = "query_too_long"
    NO_LETTER = "query_without_letters"
    MACHINE = "query_of_a_machine"
    NO_ACTION = "query_without_actions"
    FEW_SHOPPERS = "query_of_few_shoppers"
    NO_EVIDENCE = "pair_without_evidence"
    NO_PRODUCT = "pair_without_product"
    BETWEEN = "pair_of_validation_and_held_out_product"
    SIMILAR_QUERY = "pair_of_similar_query"
    """The query is to learn from, and like one that is held out."""
    SIMILAR_PRODUCT = "pair_of_similar_product"
    """Likewise for the product."""
    UNLEARNED = "pair_of_no_training_query"
    """The query was to be a known one, but none of its pairs is left to learn from."""
    AUGMENTED = "augmented_query"
    """A query with its prefix is held out, or is asked as it is."""
    NEGATIVE_GENERATION = "negative_of_another_generation"
    NEGATIVE_QUERY = "negative_of_no_training_query"
    NEGATIVE_PRODUCT = "negative_of_no_training_product"
    NEGATIVE_JUDGED = "negative_that_is_relevant_or_held_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJudgement:
    """What a data set needs of a judgement; `first_seen` is when the pair was first judged at all."""

    query: str
    product_id: str
    value: float
    grade: float
    impressions: int
    shoppers: int
    actions: int
    expected: float
    first_seen: datetime

    @classmethod
    def of(
        cls, judgement: Judgement, first_seen: datetime, selection: DatasetSelection
    ) -> "TrainingJudgement":
        """Return what counts of a judgement."""
        counted = [judgement.actions[name] for name in selection.actions if name in judgement.actions]
        return cls(
            query=judgement.query,
            product_id=judgement.product_id,
            value=judgement.value,
            grade=judgement.grade,
            impressions=judgement.impressions,
            shoppers=judgement.shoppers,
            actions=sum(statistics.count for statistics in counted),
            expected=sum(statistics.expected for statistics in counted),
            first_seen=first_seen,
        )

    def is_evident(self, selection: DatasetSelection) -> bool:
        """Whether shoppers said something: acted, or could have."""
        return self.actions > 0 or self.expected >= selection.evidence


def refuse(query: str, judged: Sequence[TrainingJudgement], selection: DatasetSelection) -> Removed | None:
    """Return why a query is left out, by its text and by what is judged of it; None: it is good."""
    return _refuse_text(query, selection) or _refuse_behaviour(judged, selection)


def _refuse_text(query: str, selection: DatasetSelection) -> Removed | None:
    words = words_of(query)
    letters = "".join(words)
    if MACHINE.search(query) or any(len(word) > LONGEST_WORD for word in words):
        return Removed.MACHINE
    if len(letters) < selection.shortest:
        return Removed.TOO_SHORT
    if len(words) > selection.longest:
        return Removed.TOO_LONG
    return None if any(letter.isalpha() for letter in letters) else Removed.NO_LETTER


def _refuse_behaviour(judged: Sequence[TrainingJudgement], selection: DatasetSelection) -> Removed | None:
    if not any(judgement.actions for judgement in judged):
        return Removed.NO_ACTION
    enough = max(judgement.shoppers for judgement in judged) >= selection.shoppers
    return None if enough else Removed.FEW_SHOPPERS
