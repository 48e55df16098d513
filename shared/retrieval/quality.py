"""Retrieval metrics of ranked lists against grades, by ir-measures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ir_measures
from ir_measures import AP, RR, Judged, R, nDCG

GAINS = {1: 1, 2: 10, 3: 100}
"""Gains .01, .1, 1 of complement, substitute, exact (Reddy et al. 2022), times 100: ir-measures wants whole
numbers, and nDCG does not depend on the unit."""
RELEVANT = 2
"""Grade from which on recall, precision and reciprocal rank count a product: substitute or better."""
DEPTH = 50
Z95 = 1.96

Grades = Mapping[str, Mapping[str, int]]
"""Of each query, the grade (0 .. 3) of each product that was judged."""
Rankings = Mapping[str, Sequence[str]]
"""Of each query, the products that were found, best first."""
Values = dict[str, dict[str, float]]
"""Of each measure, the value of each query."""

MEASURES = {
    "nDCG@10": nDCG(gains=GAINS) @ 10,
    "nDCG@50": nDCG(gains=GAINS) @ 50,
    "R@10": R(rel=RELEVANT) @ 10,
    "R@50": R(rel=RELEVANT) @ 50,
    "RR@10": RR(rel=RELEVANT) @ 10,
    "AP@50": AP(rel=RELEVANT) @ 50,
    "judged@10": Judged @ 10,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over queries and its 95 % half-width (normal)."""

    mean: float
    half_width: float
    count: int


def whole_grade(grade: float) -> int:
    """Return the grade as ir-measures wants it: the nearest whole one, half up."""
    return int(grade + 0.5)


def values(grades: Grades, ranked: Rankings, names: Sequence[str] = tuple(MEASURES)) -> Values:
    """Return each measure of each graded query.

    A query without an answer counts as zero; what is not graded counts as irrelevant.
    """
    measures = [MEASURES[name] for name in names]
    called = {str(MEASURES[name]): name for name in names}
    wanted = [
        ir_measures.Qrel(query, item, grade) for query, row in grades.items() for item, grade in row.items()
    ]
    # Ties are broken by ir-measures in its own way: our rank decides, so it is the score.
    run = [
        ir_measures.ScoredDoc(query, product, float(len(row) - place))
        for query, row in ranked.items()
        for place, product in enumerate(row)
    ]
    by_measure: Values = {name: dict.fromkeys(grades, 0.0) for name in names}
    for result in ir_measures.iter_calc(measures, wanted, run) if run else ():
        by_measure[called[str(result.measure)]][result.query_id] = result.value
    return by_measure


def figures(grades: Grades, ranked: Rankings, names: Sequence[str] = tuple(MEASURES)) -> dict[str, Figure]:
    """Return the mean of each measure over all graded queries."""
    return {name: figure(tuple(row.values())) for name, row in values(grades, ranked, names).items()}


def figure(samples: Sequence[float]) -> Figure:
    """Return mean and half-width."""
    count = len(samples)
    mean = math.fsum(samples) / max(count, 1)
    variance = math.fsum((value - mean) ** 2 for value in samples) / max(count - 1, 1)
    return Figure(mean, Z95 * math.sqrt(variance / max(count, 1)), count)
