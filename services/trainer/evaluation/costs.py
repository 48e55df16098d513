"""What a model costs: bytes a document and time, at every size and precision of its vectors."""

import time
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean, median
from typing import TypeVar

from schemas.base import Score, Value
from services.trainer.evaluation.codes import LENGTHS, WHOLE, Code, codes
from services.trainer.evaluation.domain.figures import MEASURE
from services.trainer.evaluation.sets import EmbeddedCorpus, EvaluationSet
from shared.ports import Encoder
from shared.retrieval import quality

TIMED = 25
"""Queries whose time is taken, one by one."""

Item = TypeVar("Item")


class Cost(Value):
    """What a code of the candidate's vectors costs, and how good it is."""

    code: str
    bytes: Score
    """A document, with the vector that is kept to rescore."""
    scan_ms: Score
    """A query against every code, in memory: the middle one of some."""
    quality: Score
    """nDCG@10 of what is held out."""
    overlap: Score
    """Share of the ten best by the whole float vectors that the code finds, too."""


def costs(embedded: EmbeddedCorpus, evaluation_set: EvaluationSet) -> Iterator[Cost]:
    """Yield what each code of a model's vectors costs and how good it is, on a set."""
    best = embedded.ranked(evaluation_set, WHOLE, depth=10)
    passages = len(embedded.documents) / max(1, len(embedded.ids))
    for code in codes(LENGTHS):
        ranked = embedded.ranked(evaluation_set, code)
        values = quality.values(evaluation_set.grades, ranked, [MEASURE])[MEASURE].values()
        yield Cost(
            code=code.name(embedded.dimensions),
            bytes=passages * code.bytes(embedded.dimensions),
            scan_ms=_scan_ms(embedded, code),
            quality=fmean(values),
            overlap=fmean(
                len({*row} & {*ranked[query][:10]}) / max(1, len(row)) for query, row in best.items()
            ),
        )


def encode_ms(encoder: Encoder, queries: Sequence[str]) -> float:
    """Return the time from one query to its vector, in milliseconds: the middle one of some."""
    return _median_ms(lambda query: encoder.encode_queries([query]), queries)


def _scan_ms(embedded: EmbeddedCorpus, code: Code) -> float:
    coded = embedded.coded(code)
    return _median_ms(lambda query: coded.search(query[None], depth=10), list(embedded.queries.values()))


def _median_ms(do: Callable[[Item], object], items: Sequence[Item]) -> float:
    """Return the median time of doing some of the items one by one, in milliseconds; 0 without any."""
    times = [0.0]
    for item in items[:TIMED]:
        began = time.perf_counter()
        do(item)
        times.append(1000 * (time.perf_counter() - began))
    return median(times)
