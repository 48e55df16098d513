"""Rerankers and late-interaction models: what they make of the live model's best products.

A last stage that has learned from some hundred queries replaces nothing: its scores are added to those of
the vectors, both scaled per query (Wang et al., "BERT-based dense retrievers require interpolation with
BM25", ICTIR 2021, found the same of models that had learned from half a million).
"""

from collections.abc import Mapping, Sequence
from statistics import fmean

from services.trainer.domain.fitting import dense_weight
from services.trainer.domain.statistics import paired
from services.trainer.domain.verdict import MEASURE, Compared
from services.trainer.evaluation.codes import WHOLE
from services.trainer.evaluation.ground import Embedded, Ground
from services.trainer.learning.student import Student
from shared import quality
from shared.fusion import weighted

DEPTH = 20
"""Products that the last stage of the funnel orders anew."""
UNFITTED = 0.8
"""Weight of the vectors when there are too few validation queries to fit it: the stage may correct."""


class LastStage:
    """A student beside the vectors of `embedded`; a pair is scored once, however many grounds ask for it."""

    def __init__(
        self, grounds: Sequence[Ground], embedded: Embedded, *, corpus: Mapping[str, str], student: Student
    ) -> None:
        self._first = {ground.name: embedded.ranked(ground, WHOLE) for ground in grounds}
        self._embedded = embedded
        self._corpus = corpus
        self._student = student
        self._said: dict[tuple[str, str], float] = {}
        best = {it for ranked in self._first.values() for row in ranked.values() for it in row[:DEPTH]}
        student.prepare(sorted({corpus[it] for it in best}))

    def compared(self, ground: Ground, *, weight: float) -> Compared:
        """Return how the order by both compares with that of the vectors alone (blocking; minutes)."""
        values = [self._values(ground, it) for it in (1.0, weight)]
        found = paired(values[0], values[1])
        return Compared.of(ground.name, MEASURE, f"best {DEPTH} ordered anew", found=found)

    def fitted_weight(self, ground: Ground) -> float:
        """Return the weight of the vectors that is best on the ground's queries (blocking; minutes)."""

        def figure(weight: float) -> float:
            return fmean(self._values(ground, weight).values())

        return dense_weight(figure)

    def _values(self, ground: Ground, weight: float) -> Mapping[str, float]:
        ranked = {query: self._ordered(query, row, weight) for query, row in self._first[ground.name].items()}
        return quality.values(ground.grades, ranked, [MEASURE])[MEASURE]

    def _ordered(self, query: str, row: Sequence[str], weight: float) -> list[str]:
        best = row[:DEPTH]
        if weight == 1.0:
            return list(row)
        scores = weighted(self._embedded.cosines(query, best), self._scores(query, best), weight)
        order = sorted(range(len(best)), key=lambda place: (-scores[place], place))
        return [*(best[place] for place in order), *row[DEPTH:]]

    def _scores(self, query: str, ids: Sequence[str]) -> list[float]:
        missing = [it for it in ids if (query, it) not in self._said]
        if missing:
            scores = self._student.score(query, [self._corpus[it] for it in missing])
            self._said |= {(query, it): score for it, score in zip(missing, scores, strict=True)}
        return [self._said[query, it] for it in ids]
