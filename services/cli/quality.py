"""Retrieval metrics of ranked lists against grades, by ir-measures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ir_measures
from ir_measures import RR, Judged, R, nDCG

GAINS = {1: 1, 2: 10, 3: 100}
"""Gains .01, .1, 1 of complement, substitute, exact (Reddy et al. 2022), times 100: ir-measures wants whole
numbers, and nDCG does not depend on the unit."""
RELEVANT = 2
DEPTH = 50
Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over queries and its 95 % half-width (normal)."""

    mean: float
    half_width: float
    count: int


def figures(
    grades: Mapping[str, Mapping[str, int]], ranked: Mapping[str, Sequence[tuple[str, float]]]
) -> dict[str, Figure]:
    """Return nDCG@10, R@10, R@50, RR@10 (relevant: substitute or better) and judged@10 over all queries.

    A query without an answer counts as zero; what is not graded counts as irrelevant.
    """
    measures = {
        "nDCG@10": nDCG(gains=GAINS) @ 10,
        "R@10": R(rel=RELEVANT) @ 10,
        "R@50": R(rel=RELEVANT) @ 50,
        "RR@10": RR(rel=RELEVANT) @ 10,
        "judged@10": Judged @ 10,
    }
    names = {str(measure): name for name, measure in measures.items()}
    wanted = [
        ir_measures.Qrel(query, item, grade) for query, row in grades.items() for item, grade in row.items()
    ]
    # Ties are broken by ir-measures in its own way: our rank decides, so it is the score.
    run = [
        ir_measures.ScoredDoc(query, product, float(len(row) - place))
        for query, row in ranked.items()
        for place, (product, _) in enumerate(row)
    ]
    values: dict[str, list[float]] = {name: [] for name in measures}
    for each in ir_measures.iter_calc(list(measures.values()), wanted, run):
        values[names[str(each.measure)]].append(each.value)
    return {name: figure(found, count=len(grades)) for name, found in values.items()}


def figure(values: Sequence[float], *, count: int) -> Figure:
    """Return mean and half-width over `count` queries; those without a value are zeros."""
    padded = [*values, *[0.0] * (count - len(values))]
    mean = math.fsum(padded) / max(count, 1)
    variance = math.fsum((value - mean) ** 2 for value in padded) / max(count - 1, 1)
    return Figure(mean, Z95 * math.sqrt(variance / max(count, 1)), count)
