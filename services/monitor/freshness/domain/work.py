"""What the workers of an installation do all the time, and which of them it runs."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from schemas.catalogue import ProductChange
from schemas.search import SearchQuery
from services.monitor.alerts.domain.observation import Observation, Severity
from shared.streaming.repartition import router_of

WatchedWorker = Literal[
    "shards", "embedder", "search", "judgements", "negatives", "trainer", "rollout", "collector"
]
WATCHED: frozenset[WatchedWorker] = frozenset(get_args(WatchedWorker))
"""Every kind but the monitor: one that is gone says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedWork:
    """Something that a worker does all the time: the name of what it reads, and what it means to the shop."""

    reading: str
    worker: WatchedWorker
    what: str
    """"catalogue changes are ... embedded"; what goes in between says how well."""
    done: str
    generation: str | None = None
    severity: Severity = "critical"
    shared_out: bool = True
    """Its partitions are spread over its processes; else each of them reads them all."""
    unheard: str = ""
    """What happens when it works and does not read on, where that is something else."""


def expected_work(generations: Iterable[str]) -> list[ExpectedWork]:
    """Return what the workers should be doing; that shards are served is seen by their owners."""
    embedding = [
        ExpectedWork(
            reading=f"embedder-{generation}",
            worker="embedder",
            what="catalogue changes",
            done="embedded",
            generation=generation,
        )
        for generation in generations
    ]
    judging = [
        ExpectedWork(
            reading="judgements-join",
            worker="judgements",
            what="shoppers' events",
            done="joined to their queries",
        ),
        ExpectedWork(reading="judgements-window", worker="judgements", what="outcomes", done="counted"),
        ExpectedWork(
            reading="negatives",
            worker="negatives",
            what="judgements",
            done="mined for hard negatives",
            severity="warning",
        ),
    ]
    routing = [
        ExpectedWork(reading=router_of([topic]), worker=worker, what=what, done="looked at for their home")
        for topic, worker, what in _ROUTED
    ]
    return [*embedding, *judging, *routing, *_FOLLOWING]


_ROUTED: tuple[tuple[str, WatchedWorker, str], ...] = (
    (ProductChange.topic, "embedder", "catalogue changes"),
    (SearchQuery.topic, "judgements", "queries and events"),
)
_FOLLOWING = (
    ExpectedWork(
        reading="search",
        worker="search",
        what="searches",
        done="answered",
        shared_out=False,
        unheard="searches may go to a generation that is no longer live",
    ),
    ExpectedWork(
        reading="collector",
        worker="collector",
        what="events of the shop's pages",
        done="taken in",
        shared_out=False,
    ),
    ExpectedWork(
        reading="trainer",
        worker="trainer",
        what="training jobs",
        done="done",
        severity="warning",
        shared_out=False,
    ),
    ExpectedWork(
        reading="rollout",
        worker="rollout",
        what="rollout requests",
        done="answered",
        severity="warning",
        shared_out=False,
    ),
)


def unless_left_out(observation: Observation, worker: str, workers: Collection[str]) -> Observation:
    """Return the observation; of a worker that this installation does not run, one that ends its alert."""
    if worker in workers:
        return observation
    return observation.model_copy(
        update={
            "breached": False,
            "summary": f"no {worker} worker is expected here: monitor.freshness.workers leaves it out",
            "action": "nothing to do",
        }
    )
