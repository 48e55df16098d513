"""Search quality as the audience sees it: every query through the search API, held against the grades."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from statistics import fmean

from services.cli.demonstration.place import Json, Place, until
from services.cli.simulation.catalogue import Catalogue
from services.cli.simulation.traffic import CONTENDERS
from services.trainer.domain.statistics import Difference, paired
from shared import quality
from shared.errors import TransientError

MEASURE = "nDCG@10"
DEPTH = CONTENDERS
"""What simulated shoppers are shown is taken from these answers, too."""
PATIENCE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Ranked:
    """nDCG@10 of each query, and what was answered: ids, best first."""

    values: Mapping[str, float]
    answers: Mapping[str, Sequence[str]]

    @property
    def mean(self) -> float:
        """The mean over all queries."""
        return fmean(self.values.values())

    def against(self, later: "Ranked") -> Difference:
        """Return how a later measurement differs, query by query."""
        return paired(self.values, later.values)


async def asked_all(place: Place, catalogue: Catalogue, done: Callable[[], None]) -> Ranked:
    """Ask every query; an incomplete answer is asked for again. Raises `TransientError` when none comes."""
    found: dict[str, list[str]] = {}
    for query in catalogue.queries:
        answer, _ = await until(partial(_whole_answer, place, query.text), within=PATIENCE)
        if answer is None:
            raise TransientError(f"no complete answer to “{query.text}” within {PATIENCE}")
        found[query.id] = [hit["product_id"] for hit in answer["hits"]]
        done()
    grades = {query.id: catalogue.grades[query.id] for query in catalogue.queries}
    return Ranked(quality.values(grades, found, (MEASURE,))[MEASURE], found)


async def _whole_answer(place: Place, text: str) -> Json | None:
    answer = await place.search(text, k=DEPTH)
    return None if answer["partial"] else answer
