"""The reranker of the funnel: a model reads the best hits of a hybrid search, within a budget of time."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal

import structlog
from prometheus_client import Counter, Histogram

from services.search.domain.fusion import RankedCandidate
from services.search.domain.reranker import reordered
from services.search.settings import RerankerSettings
from shared.catalogue.texts import build_text
from shared.errors import FatalError
from shared.ports import PairModel

log = structlog.get_logger()
outcomes = Counter("headrace_search_reranker", "Hybrid searches by what became of the reranker", ("outcome",))
seconds = Histogram(
    "headrace_search_reranker_seconds",
    "Time the reranker waited for its model",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.5, 1),
)
Outcome = Literal["applied", "late", "busy", "failed"]
Ranked = Sequence[RankedCandidate]
ROOM = 2
"""Searches in its hands: one that is read and one that waits; more would only come late."""


class Reranker:
    """Orders hits anew when there is time; when there is none, they stay as they are.

    What came late is read to its end all the same: a late-interaction model remembers the products.
    """

    def __init__(self, settings: RerankerSettings, load: Callable[[], PairModel]) -> None:
        self._settings = settings
        self._load = load
        self._model: PairModel | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reranker")
        self._open = 0

    async def start(self) -> None:
        """Load the model; raises `ConfigurationError` when it is refused."""
        self._model = await asyncio.to_thread(self._load)
        log.info("reranker.loaded", model=str(self._settings.model))

    async def stop(self) -> None:
        """Begin nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def depth(self) -> int:
        """How many hits it reads."""
        return self._settings.depth

    async def order(
        self, query: str, rankings: Sequence[Ranked], *, within: float
    ) -> tuple[Sequence[Ranked], Outcome]:
        """Return the rankings in its order, and what became of it; `within` are the seconds of the search.

        They are read one after another, a product of several of them once. When there was time for the
        first ones only, these alone are returned; when there was for none, all are, as they were.
        """
        ordered, outcome = await self._order(query, rankings, within=within)
        outcomes.labels(outcome).inc()
        return ordered, outcome

    async def _order(
        self, query: str, rankings: Sequence[Ranked], *, within: float
    ) -> tuple[Sequence[Ranked], Outcome]:
        if self._model is None:
            raise FatalError("the reranker was used before it was started")
        if self._open >= ROOM:
            return rankings, "busy"
        self._open += 1
        read: list[list[float]] = []
        loop = asyncio.get_running_loop()
        began = loop.time()
        read_all = partial(self._read, self._model, query, rankings=rankings, read=read)
        reading = loop.run_in_executor(self._thread, read_all)
        reading.add_done_callback(self._done)
        await asyncio.wait({reading}, timeout=min(within, self._settings.budget.total_seconds()))
        seconds.observe(loop.time() - began)
        if reading.done() and (error := reading.exception()) is not None:
            log.error("reranker.failed", query=query, error=repr(error))
            return rankings, "failed"
        in_time = zip(rankings, list(read), strict=False)
        ordered = [reordered(ranked, own, weight=self._settings.weight) for ranked, own in in_time]
        return (ordered, "applied") if ordered else (rankings, "late")

    def _read(
        self, model: PairModel, query: str, *, rankings: Sequence[Ranked], read: list[list[float]]
    ) -> None:
        """Append to `read` the scores of each ranking's best hits; works in the thread."""
        scores: dict[str, float] = {}
        for ranked in rankings:
            best = {hit.candidate.product_id: hit.candidate.fields for hit in ranked[: self.depth]}
            new = {product_id: fields for product_id, fields in best.items() if product_id not in scores}
            texts = [build_text(fields, self._settings.text) for fields in new.values()]
            scores.update(zip(new, model.score(query, texts) if texts else (), strict=True))
            read.append([scores[product_id] for product_id in best])

    def _done(self, reading: "asyncio.Future[None]") -> None:
        self._open -= 1
        if not reading.cancelled():
            reading.exception()  # of one that came late nobody else asks
