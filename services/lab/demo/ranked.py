"""Search quality as the audience sees it: every query through the search API, held against the grades."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from statistics import fmean

from schemas.search_api import SearchResponse
from services.lab.demo.client import DemoClient, until
from services.lab.simulation.catalogue import GradedCatalogue, relevant_to
from services.trainer.evaluation.domain.statistics import PairedDifference, paired
from shared.errors import TransientError
from shared.retrieval import quality

MEASURE = "nDCG@10"
PAGE = 10
"""Simulated shoppers are shown these answers, too."""
PATIENCE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class RankedAnswers:
    """nDCG@10 of each query, and what was answered: ids, best first."""

    values: Mapping[str, float]
    answers: Mapping[str, Sequence[str]]

    @property
    def mean(self) -> float:
        """The mean over all queries."""
        return fmean(self.values.values())

    def against(self, later: "RankedAnswers") -> PairedDifference:
        """Return how a later measurement differs, query by query."""
        return paired(self.values, later.values)


async def ask_all(client: DemoClient, catalogue: GradedCatalogue, done: Callable[[], None]) -> RankedAnswers:
    """Ask every query; an incomplete answer is asked for again. Raises `TransientError` when none comes."""
    answers: dict[str, list[str]] = {}
    for query in catalogue.queries:
        answer, _ = await until(partial(_whole_answer, client, query.text), within=PATIENCE)
        if answer is None:
            raise TransientError(f"no complete answer to “{query.text}” within {PATIENCE}")
        answers[query.id] = [hit.product_id for hit in answer.hits]
        done()
    grades = {query: catalogue.grades[query] for query in relevant_to(catalogue)}
    return RankedAnswers(quality.values(grades, answers, (MEASURE,))[MEASURE], answers)


async def _whole_answer(client: DemoClient, text: str) -> SearchResponse | None:
    answer = await client.search(text, k=PAGE)
    return None if answer.partial else answer
