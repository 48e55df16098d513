"""Hard negatives held against human grades."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schemas.judgements import Negative
from services.lab.simulation.catalogue import EXACT, GradedCatalogue
from shared.catalogue.query_text import normalise

ENOUGH = 5
"""Negatives of a query that are enough to learn from."""


class GradedNegatives(NamedTuple):
    """What negatives are, in numbers."""

    number: int
    graded: int
    """Those that people graded for their query."""
    exact: int
    """Of the graded, those that people found exactly right after all."""
    with_enough: int
    """Queries that have `ENOUGH` or more."""
    difficulties: Mapping[str, int]
    """Negatives of each difficulty."""

    @classmethod
    def of(cls, negatives: Iterable[Negative], grades: Mapping[str, Mapping[str, int]]) -> "GradedNegatives":
        """Count negatives; `grades` are by normalised query, then by product."""
        rows = list(negatives)
        graded = [
            grade for row in rows if (grade := grades.get(row.query, {}).get(row.product_id)) is not None
        ]
        of_queries = Counter(row.query for row in rows)
        return cls(
            number=len(rows),
            graded=len(graded),
            exact=graded.count(EXACT),
            with_enough=sum(own >= ENOUGH for own in of_queries.values()),
            difficulties=Counter(row.difficulty for row in rows),
        )

    @property
    def exact_share(self) -> float:
        """Return the share of the graded that are exact; 0 when none was graded."""
        return self.exact / max(1, self.graded)


def graded_queries(catalogue: GradedCatalogue) -> dict[str, Mapping[str, int]]:
    """Return the grades by normalised query."""
    return {normalise(query.text): catalogue.grades.get(query.id, {}) for query in catalogue.queries}
