"""Rerankers and late-interaction models: what they make of the live model's best products."""

from collections.abc import Iterator, Mapping, Sequence

from services.trainer.domain.statistics import paired
from services.trainer.domain.verdict import MEASURE, Compared
from services.trainer.evaluation.codes import WHOLE
from services.trainer.evaluation.ground import Embedded, Ground
from services.trainer.learning.student import Student
from shared import quality

DEPTH = 20
"""Products that the last stage of the funnel orders anew."""


def reordered(
    grounds: Sequence[Ground], embedded: Embedded, *, corpus: Mapping[str, str], student: Student
) -> Iterator[Compared]:
    """Yield how the live model's order compares with the student's order of its best (blocking; minutes)."""
    for ground in grounds:
        live = embedded.ranked(ground, WHOLE)
        student.prepare(sorted({corpus[it] for row in live.values() for it in row[:DEPTH]}))
        candidate = {query: _best(student, query, row, corpus=corpus) for query, row in live.items()}
        values = [quality.values(ground.grades, it, [MEASURE])[MEASURE] for it in (live, candidate)]
        found = paired(values[0], values[1])
        yield Compared.of(ground.name, MEASURE, f"best {DEPTH} ordered anew", found=found)


def _best(student: Student, query: str, row: Sequence[str], *, corpus: Mapping[str, str]) -> list[str]:
    best = row[:DEPTH]
    scores = student.score(query, [corpus[it] for it in best])
    order = sorted(range(len(best)), key=lambda place: (-scores[place], place))
    return [*(best[place] for place in order), *row[DEPTH:]]
