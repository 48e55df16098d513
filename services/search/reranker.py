"""The reranker of the funnel: a model reads the best hits of a hybrid search, within a budget of time."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
        self, query: str, ranked: Sequence[RankedCandidate], *, within: float
    ) -> tuple[list[RankedCandidate], Outcome]:
        """Return the hits in their order, and what became of it; `within` are the seconds of the search."""
        ordered, outcome = await self._order(query, ranked, within=within)
        outcomes.labels(outcome).inc()
        return ordered, outcome

    async def _order(
        self, query: str, ranked: Sequence[RankedCandidate], *, within: float
    ) -> tuple[list[RankedCandidate], Outcome]:
        if self._model is None:
            raise FatalError("the reranker was used before it was started")
        if self._open >= ROOM:
            return list(ranked), "busy"
        texts = [build_text(hit.candidate.hit.fields, self._settings.text) for hit in ranked[: self.depth]]
        self._open += 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        reading = loop.run_in_executor(self._thread, self._model.score, query, texts)
        reading.add_done_callback(self._done)
        await asyncio.wait({reading}, timeout=min(within, self._settings.budget.total_seconds()))
        seconds.observe(loop.time() - began)
        if not reading.done():
            return list(ranked), "late"
        if (error := reading.exception()) is not None:
            log.error("reranker.failed", query=query, error=repr(error))
            return list(ranked), "failed"
        return reordered(ranked, reading.result(), weight=self._settings.weight), "applied"

    def _done(self, reading: "asyncio.Future[list[float]]") -> None:
        self._open -= 1
        if not reading.cancelled():
            reading.exception()  # of one that came late nobody else asks
