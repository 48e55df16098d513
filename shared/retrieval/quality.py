"""Retrieval metrics of ranked lists against grades, by ir-measures.

Where grades exist only for what some ranking has shown, `values` is unfair to any other ranking, since it
takes what is not graded as wrong: `fair_values` leaves that out instead.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import ir_measures
from ir_measures import AP, RR, Bpref, Judged, Measure, R, nDCG

GAINS = {1: 1, 2: 10, 3: 100}
"""Gains .01, .1, 1 of complement, substitute, exact (Reddy et al. 2022), times 100: ir-measures wants whole
numbers, and nDCG does not depend on the unit."""
BEST_GRADE = max(GAINS)
RELEVANT = 2
"""Grade from which on recall, precision and reciprocal rank count a product: substitute or better."""
DEPTH = 50
FIRST_PAGE = 10
DISCOUNTS = tuple(1 / math.log2(place + 2) for place in range(FIRST_PAGE))
"""What each place of a first page counts for in nDCG."""
Z95 = 1.96

Grades = Mapping[str, Mapping[str, int]]
"""Of each query, the grade (0 .. 3) of each product that was judged."""
Rankings = Mapping[str, Sequence[str]]
"""Of each query, the products that were found, best first."""
Values = dict[str, dict[str, float]]
"""Of each measure, the value of each query."""

JUDGED = "judged@10"
GAIN_MEASURES = {"nDCG@10": 10, "nDCG@50": 50}
"""Measures that weigh grades by gains, and how deep they look."""
MEASURES = {
    **{name: nDCG(gains=GAINS) @ depth for name, depth in GAIN_MEASURES.items()},
    "R@10": R(rel=RELEVANT) @ 10,
    "R@50": R(rel=RELEVANT) @ 50,
    "RR@10": RR(rel=RELEVANT) @ 10,
    "AP@50": AP(rel=RELEVANT) @ 50,
    JUDGED: Judged @ 10,
}
CONDENSED, BPREF = "condensed nDCG@10", "bpref"
"""nDCG@10 of the list without what is not graded (Sakai, "Alternatives to bpref", SIGIR 2007); and how
seldom a graded product that is not relevant comes before one that is (Buckley and Voorhees, "Retrieval
evaluation with incomplete information", SIGIR 2004)."""
FAIR = {CONDENSED: MEASURES["nDCG@10"], BPREF: Bpref(rel=RELEVANT)}
KINDS: Mapping[str, Callable[[int], int]] = {CONDENSED: int, BPREF: lambda grade: int(grade >= RELEVANT)}
"""Which grades a fair measure tells apart."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over queries and its 95 % half-width (normal)."""

    mean: float
    half_width: float
    count: int
    left_out: int = 0
    """Queries without a relevant product, of which it says nothing: they are no part of the mean."""


def whole_grade(grade: float) -> int:
    """Return the grade as ir-measures wants it: the nearest whole one, half up."""
    return int(grade + 0.5)


def values(grades: Grades, ranked: Rankings, names: Sequence[str] = tuple(MEASURES)) -> Values:
    """Return each measure of each graded query.

    A query without an answer counts as zero; what is not graded counts as irrelevant.
    """
    return _values(grades, ranked, {name: MEASURES[name] for name in names})


def fair_values(grades: Grades, ranked: Rankings, names: Sequence[str] = tuple(FAIR)) -> Values:
    """Return each fair measure of each query that it tells something of.

    What is not graded counts neither for nor against, so a query whose products are all graded alike says
    nothing: every order of them is as good. A graded product that is not in the ranking counts for nothing.
    """
    by_measure: Values = {}
    for name in names:
        telling = {
            query: row for query, row in grades.items() if len(set(map(KINDS[name], row.values()))) > 1
        }
        by_measure |= _values(telling, condensed(telling, ranked), {name: FAIR[name]})
    return by_measure


def condensed(grades: Grades, ranked: Rankings) -> dict[str, list[str]]:
    """Return the rankings without what is not graded."""
    return {
        query: [product for product in row if product in grades[query]]
        for query, row in ranked.items()
        if query in grades
    }


def shown_share(page: Sequence[str], shown: Collection[str]) -> float:
    """Return the share of a first page that has ever been shown, each place counted by its discount.

    A page with nothing on it has nothing that was never shown: 1.
    """
    places = list(zip(DISCOUNTS, page, strict=False))
    whole = math.fsum(discount for discount, _ in places)
    return math.fsum(discount for discount, product in places if product in shown) / whole if whole else 1.0


def _values(grades: Grades, ranked: Rankings, measures: Mapping[str, Measure]) -> Values:
    called = {str(measure): name for name, measure in measures.items()}
    wanted = [
        ir_measures.Qrel(query, item, grade) for query, row in grades.items() for item, grade in row.items()
    ]
    # Ties are broken by ir-measures in its own way: our rank decides, so it is the score.
    run = [
        ir_measures.ScoredDoc(query, product, float(len(row) - place))
        for query, row in ranked.items()
        for place, product in enumerate(row)
    ]
    by_measure: Values = {name: dict.fromkeys(grades, 0.0) for name in measures}
    for result in ir_measures.iter_calc(list(measures.values()), wanted, run) if run else ():
        by_measure[called[str(result.measure)]][result.query_id] = result.value
    return by_measure


def figures(
    grades: Grades,
    ranked: Rankings,
    names: Sequence[str] = tuple(MEASURES),
    *,
    gains: Mapping[int, int] = GAINS,
) -> dict[str, Figure]:
    """Return the mean of each measure over the graded queries that have a product that is relevant to it."""
    measures = {
        name: nDCG(gains=gains) @ GAIN_MEASURES[name] if name in GAIN_MEASURES else MEASURES[name]
        for name in names
    }
    means = {}
    for name, row in _values(grades, ranked, measures).items():
        telling = [value for query, value in row.items() if _tells(name, grades[query].values(), gains)]
        means[name] = replace(figure(telling), left_out=len(row) - len(telling))
    return means


def _tells(name: str, grades: Collection[int], gains: Mapping[int, int]) -> bool:
    """Say whether an order of products of these grades may be better than another one, by that measure."""
    if name in GAIN_MEASURES:
        return any(gains.get(grade, 0) > 0 for grade in grades)
    return name == JUDGED or any(grade >= RELEVANT for grade in grades)


def figure(samples: Sequence[float]) -> Figure:
    """Return mean and half-width."""
    count = len(samples)
    mean = math.fsum(samples) / max(count, 1)
    variance = math.fsum((value - mean) ** 2 for value in samples) / max(count - 1, 1)
    return Figure(mean, Z95 * math.sqrt(variance / max(count, 1)), count)
