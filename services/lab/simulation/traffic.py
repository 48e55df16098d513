"""Many shoppers: sessions, robots, and what a real network does to their messages.

`visits` says who asks what and when; the answer to a visit comes from the live search or from `Ranker`;
`messages` turns visit and answer into messages with their time of arrival: some twice, some out of order,
some days late. `stream` puts it all together and releases messages in the order in which they arrive.
"""

import heapq
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import NamedTuple, Protocol, Self

from schemas.search import EventAttributes, EventObject, Position, Ranking, SearchEvent, SearchQuery
from services.lab.simulation.catalogue import GradedCatalogue, ShopQuery
from services.lab.simulation.shoppers import ClickModel, ShopperAction, ShownProduct, ransack, shop
from services.lab.simulation.truth import Truth

SECOND = timedelta(seconds=1)
AHEAD = timedelta(minutes=4)
"""Events may be this far ahead of the run's end; what shoppers would do later has not happened yet."""
CONTENDERS = 30
"""So many products of a query can ever come to the top."""
JITTER = 0.5
"""Standard deviation of what a score varies by from one answer to the next, in the unit of the scores."""
LONGEST_SESSION = timedelta(hours=1)
QUERIES_OF_A_SESSION = (1, 1, 2, 2, 3, 4)
"""Each as probable as the next."""
APPLICATION = "headrace-simulation"


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """How many shoppers come, when, and how unreliable the way of their messages is."""

    sessions: int
    until: datetime
    span: timedelta = timedelta(days=7)
    seed: int = 1
    popularity: int | None = None
    """The seed of which queries are asked often; absent: of everything else, too."""
    results: int = 10
    robots: float = 0.005
    """Share of sessions that are robots; each asks `robot_queries` queries, one a second."""
    robot_queries: int = 60
    duplicates: float = 0.1
    """Share of messages that arrive twice, byte for byte."""
    disorder: float = 0.2
    """Share of messages that are held up, by `hold_up` on average: others overtake them."""
    hold_up: timedelta = timedelta(minutes=2)
    late: float = 0.01
    """Share of events that arrive up to `lateness` late."""
    lateness: timedelta = timedelta(days=2)
    sloppy: float = 0.1
    """Share of queries typed with other capitals and spaces."""
    haste: float = 1.0
    """All delays of shoppers and network are divided by this; live traffic is hasty."""

    @property
    def name(self) -> str:
        """Return what ids begin with: the same for the same seed and time, so that two runs differ."""
        return f"sim{self.seed}-{self.until:%y%m%d%H%M%S}"


class Visit(NamedTuple):
    """Somebody asks something."""

    number: int
    query: ShopQuery
    typed: str
    time: datetime
    client_id: str
    session_id: str
    robot: bool


class VisitResults(NamedTuple):
    """What was shown to a visit, best first."""

    query_id: str
    product_ids: tuple[str, ...]
    time: datetime
    ranking: Ranking | None = None
    """What the log says of how it was ranked."""


class FrontEnd(Protocol):
    """What answers a visit in a run that asks no live search."""

    def show(self, visit: Visit, query_id: str, k: int, rng: random.Random) -> VisitResults:
        """Return the `k` products, at most, that the visit is shown; chance is `rng`'s."""
        ...


class Arrival(NamedTuple):
    """A message and when it reaches the bus; `order` breaks ties."""

    time: datetime
    order: tuple[int, int]
    message: SearchQuery | SearchEvent


class Ranker:
    """What shoppers are shown: each query's contenders by score; with jitter, never quite the same twice."""

    def __init__(self, scores: Mapping[str, Sequence[tuple[float, str]]], *, jitter: float = JITTER) -> None:
        self._scores = {query: heapq.nlargest(CONTENDERS, scored) for query, scored in scores.items()}
        self._jitter = jitter

    @classmethod
    def blurred(cls, catalogue: GradedCatalogue, *, seed: int, blur: float = 1.0) -> Self:
        """Return one that is good but not perfect, and needs no search engine.

        With the default blur its nDCG@10 on the sample shop is 0.61, about that of plain hybrid search on
        real products: where a product stands says something about it, but not all.
        """
        rng = random.Random(f"ranker {seed}")  # noqa: S311 - reproducible
        return cls(
            {
                query.id: [
                    (grade + rng.gauss(0, blur), product)
                    for product, grade in catalogue.grades.get(query.id, {}).items()
                ]
                for query in catalogue.queries
            }
        )

    @classmethod
    def like(cls, rankings: Mapping[str, Sequence[str]], *, jitter: float = 0.0) -> Self:
        """Return one that shows what a search engine answered: the ids of each query, best first.

        Shoppers see exactly what was answered, in every bench and scene, as in a shop. A jitter, in
        logarithms of the rank, lets products beyond the first page onto it now and then: who wants a row of
        that asks for it.
        """
        return cls(
            {
                query: [(-math.log(rank), product) for rank, product in enumerate(ids, start=1)]
                for query, ids in rankings.items()
            },
            jitter=jitter,
        )

    def rank(self, query: ShopQuery, k: int, rng: random.Random) -> tuple[str, ...]:
        """Return the ids of the best `k` products, best first."""
        scored = ((score + rng.gauss(0, self._jitter), product) for score, product in self._scores[query.id])
        return tuple(product for _, product in heapq.nlargest(k, scored))

    def show(self, visit: Visit, query_id: str, k: int, rng: random.Random) -> VisitResults:
        """Return what a visit is shown."""
        return VisitResults(query_id, self.rank(visit.query, k, rng), visit.time)


@dataclass
class Simulation:
    """One run: the shop, the click model, the traffic; `truth` fills as messages are made."""

    catalogue: GradedCatalogue
    model: ClickModel
    traffic: Traffic
    truth: Truth = field(default_factory=Truth)

    def visits(self) -> Iterator[Visit]:
        """Yield every visit; sessions begin in order of time, spread evenly over the span."""
        rng = self._rng("visits")
        popularity = list(accumulate(1 / rank for rank in range(1, len(self.catalogue.queries) + 1)))
        traffic, number = self.traffic, 0
        queries = list(self.catalogue.queries)
        (rng if traffic.popularity is None else _seeded(traffic.popularity, "popularity")).shuffle(queries)
        for session in range(traffic.sessions):
            began = traffic.until - traffic.span * (1 - (session + rng.random()) / traffic.sessions)
            robot = rng.random() < traffic.robots
            client = f"robot-{session}" if robot else f"shopper-{rng.randrange(traffic.sessions)}"
            queries_asked = traffic.robot_queries if robot else rng.choice(QUERIES_OF_A_SESSION)
            pause = (1 if robot else 40) / traffic.haste
            for step, query in enumerate(rng.choices(queries, cum_weights=popularity, k=queries_asked)):
                moment = min(began + step * pause * SECOND, traffic.until)
                typed = self._typed(query.text, rng)
                yield Visit(number, query, typed, moment, client, f"{traffic.name}-s{session}", robot)
                number += 1

    def messages(self, visit: Visit, answer: VisitResults, *, logged: bool) -> list[Arrival]:
        """Return what the visit writes: its events and, unless the search API logged it, its query."""
        rng = self._rng(f"visit {visit.number}")
        ranking = [self._shown(visit.query, product) for product in answer.product_ids]
        self.truth.saw(visit.query.text, ranking, robot=visit.robot)
        actions = ransack(ranking, rng) if visit.robot else shop(self.model, ranking, rng)
        written: list[SearchQuery | SearchEvent] = [] if logged else [_query(visit, answer)]
        for number, action in enumerate(actions):
            moment = answer.time + action.delay / self.traffic.haste
            if moment <= max(self.traffic.until, answer.time + AHEAD):
                self.truth.did(visit.query.text, action.product_id, action.name, robot=visit.robot)
                written.append(_event(visit, answer, action, number, moment))
        return list(self._arrivals(visit.number, written, rng))

    def _arrivals(
        self, visit: int, messages: Sequence[SearchQuery | SearchEvent], rng: random.Random
    ) -> Iterator[Arrival]:
        order = 0
        for message in messages:
            for _ in range(2 if rng.random() < self.traffic.duplicates else 1):
                delay = self._held_up(message, rng) / self.traffic.haste
                yield Arrival(message.timestamp + delay, (visit, order), message)
                order += 1

    def _held_up(self, message: SearchQuery | SearchEvent, rng: random.Random) -> timedelta:
        if isinstance(message, SearchEvent) and rng.random() < self.traffic.late:
            return rng.random() * self.traffic.lateness
        if rng.random() < self.traffic.disorder:
            return rng.expovariate(1) * self.traffic.hold_up
        return timedelta()

    def _shown(self, query: ShopQuery, product_id: str) -> ShownProduct:
        product = self.truth.shown(query.text, product_id)
        if product is None:
            grade = self.catalogue.grade(query.id, product_id)
            appeal = self.model.appeal_of(grade, f"{self.traffic.seed} {query.id} {product_id}")
            product = ShownProduct(product_id, grade, appeal)
            self.truth.knows(query.text, product)
        return product

    def _typed(self, text: str, rng: random.Random) -> str:
        if rng.random() >= self.traffic.sloppy:
            return text
        return rng.choice((text.title(), text.upper(), f"  {text}", text.replace(" ", "  ")))

    def _rng(self, purpose: str) -> random.Random:
        return _seeded(self.traffic.seed, purpose)


class Backlog:
    """Messages on their way; released in the order in which they arrive."""

    def __init__(self) -> None:
        self._waiting: list[Arrival] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, arrivals: Iterable[Arrival]) -> None:
        """Put messages on their way."""
        for arrival in arrivals:
            heapq.heappush(self._waiting, arrival)

    def due(self, moment: datetime | None = None) -> Iterator[Arrival]:
        """Take out what has arrived by `moment` (None: everything), in order."""
        while self._waiting and (moment is None or self._waiting[0].time <= moment):
            yield heapq.heappop(self._waiting)


def stream(simulation: Simulation, front_end: FrontEnd) -> Iterator[Arrival]:
    """Yield every message of a self-contained run, in order of arrival.

    Sessions overlap, so a message is released when no session that is still to come can overtake it.
    """
    backlog, traffic = Backlog(), simulation.traffic
    rng = random.Random(f"rankings {traffic.seed}")  # noqa: S311 - reproducible
    for visit in simulation.visits():
        yield from backlog.due(visit.time - LONGEST_SESSION)
        answer = front_end.show(visit, f"{traffic.name}-q{visit.number}", traffic.results, rng)
        backlog.add(simulation.messages(visit, answer, logged=False))
    yield from backlog.due()


def _query(visit: Visit, answer: VisitResults) -> SearchQuery:
    return SearchQuery(
        query_id=answer.query_id,
        user_query=visit.typed,
        timestamp=answer.time,
        application=APPLICATION,
        client_id=visit.client_id,
        session_id=visit.session_id,
        object_id_field="product_id",
        query_response_id=answer.query_id,
        query_response_object_ids=answer.product_ids,
        ranking=answer.ranking,
    )


def _seeded(seed: int, purpose: str) -> random.Random:
    return random.Random(f"{seed} {purpose}")  # noqa: S311 - reproducible


def _event(
    visit: Visit, answer: VisitResults, action: ShopperAction, number: int, moment: datetime
) -> SearchEvent:
    return SearchEvent(
        action_name=action.name,
        timestamp=moment,
        query_id=answer.query_id,
        event_id=f"{answer.query_id}-e{number}",
        application=APPLICATION,
        client_id=visit.client_id,
        session_id=visit.session_id,
        user_query=visit.typed,
        event_attributes=EventAttributes(
            object=EventObject(object_id=action.product_id, object_id_field="product_id"),
            position=Position(ordinal=action.position),
        ),
    )
