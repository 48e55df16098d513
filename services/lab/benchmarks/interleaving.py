"""`headrace bench trial`: what a search costs that two generations answer, beside one of the live one alone.

Both arms of a trial are asked in turn, one search at a time, never the same text twice, so that no vector is
remembered. The candidate has the live generation's model: another one of its size costs as much.
"""

import asyncio
import time
from collections.abc import Sequence

from rich.progress import Progress

from headrace.search_api import SearchClient, SearchUnavailableError
from schemas.control import Rollout, TrialTerms
from schemas.search_api import SearchResponse
from services.lab.benchmarks.harness import READY, write
from services.lab.benchmarks.loading import quantile
from services.lab.benchmarks.second_generation import documents, record_of
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import ShopProduct
from services.rollout.topics import GenerationTopics
from shared.clock import SystemClock
from shared.encoder.directory import model_directory
from shared.errors import ConfigurationError, TransientError
from shared.generations.trial import Arm, Trial, arm_of
from shared.infrastructure.stack import Stack
from shared.ports import outgoing
from shared.settings import Settings

WORKERS = ("shards", "embedder", "search")
LIVE, CANDIDATE = "g1", "g2"
ARMS: tuple[Arm, Arm] = ("rest", "interleaved")
WARM = 30
"""Searches of each arm that are not timed."""
WORDS = 4
"""Of a title, as a query."""
POLL_SECONDS = 0.25
GOAL = "bound: one generation; goal: a ratio of 1.3"


def measure(
    stack: Stack, products: Sequence[ShopProduct], *, searches: int, progress: Progress
) -> list[ReportRow]:
    """Return the figures of so many searches of each arm; raises `TransientError` when nothing moves."""
    if len(products) < (least := 2 * (searches + WARM)):
        raise ConfigurationError(f"{searches} searches of each arm want {least} products: give --searches")
    _begin(stack.settings, products, progress)
    sessions = _sessions()
    texts = iter([" ".join(product.title.split()[:WORDS]) for product in products])
    times: dict[Arm, list[float]] = {arm: [] for arm in ARMS}
    drafted = 0
    asked = progress.add_task("searches", total=searches)
    with SearchClient(stack.url("search")) as client:
        _until_drafted(client, sessions["interleaved"])
        for number in range(-WARM, searches):
            for arm in ARMS:
                answer, seconds = _timed(client, next(texts), sessions[arm])
                if number >= 0:
                    times[arm].append(seconds)
                    drafted += _is_drafted(answer)
            progress.update(asked, completed=max(0, number + 1))
    return rows(times, drafted / searches)


def rows(times: dict[Arm, list[float]], drafted: float) -> list[ReportRow]:
    """Return p50 and p99 of the seconds of each arm, and the share of the interleaved answers drafted."""
    made = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        one, two = (quantile(times[arm], share) * 1000 for arm in ARMS)
        made.append(ReportRow(f"one generation {name}", one, "ms"))
        made.append(ReportRow(f"two generations {name}", two, "ms", one, GOAL))
    return [*made, ReportRow("drafted", drafted, note="of the interleaved answers; the rest: live alone")]


def _begin(settings: Settings, products: Sequence[ShopProduct], progress: Progress) -> None:
    """Fill both generations, and begin the trial, as the rollout worker would say it."""
    now = SystemClock().now()
    written = progress.add_task("written", total=len(products))
    changes = [outgoing(product.change(1, now)) for product in products]
    write(settings, changes, lambda count: progress.update(written, completed=count))
    asyncio.run(GenerationTopics(settings).make(CANDIDATE))
    model = record_of(settings, model_directory(settings.model.path), "bench")
    _say(settings, _answer("promote", LIVE), _answer("backfill", CANDIDATE, "running", model=model))
    indexed = progress.add_task("searchable in both", total=2 * len(products))
    deadline = time.monotonic() + READY.total_seconds()
    while (count := documents(settings, LIVE, CANDIDATE)) < 2 * len(products):
        progress.update(indexed, completed=count)
        if time.monotonic() > deadline:
            raise TransientError(f"{count} of {2 * len(products)} products are indexed after {READY}")
        time.sleep(POLL_SECONDS)
    progress.update(indexed, completed=count)
    began = _answer("trial", CANDIDATE, "running", trial=TrialTerms())
    _say(settings, _answer("backfill", CANDIDATE), began)


def _answer(action: str, generation: str, status: str = "done", **other: object) -> Rollout:
    said = {"action": action, "generation": generation, "status": status, "request_id": f"bench-{action}"}
    return Rollout.model_validate({**said, "requested_at": SystemClock().now(), **other})


def _say(settings: Settings, *answers: Rollout) -> None:
    write(settings, [outgoing(answer) for answer in answers], lambda _: None)


def _sessions() -> dict[Arm, str]:
    """Return a session of each arm."""
    terms, now = TrialTerms(), SystemClock().now()
    trial = Trial(name="bench-trial", live=LIVE, candidate=CANDIDATE, terms=terms, began_at=now)
    arms: dict[Arm, str] = {}
    for number in range(100):
        arm = arm_of(trial, session_id=f"s{number}", client_id=None)
        if arm is not None:
            arms[arm] = f"s{number}"
    return arms


def _until_drafted(client: SearchClient, session: str) -> None:
    """Return once the candidate answers too."""
    deadline = time.monotonic() + READY.total_seconds()
    while time.monotonic() < deadline:
        try:
            if _is_drafted(client.search("shoe", session_id=session)):
                return
        except SearchUnavailableError:
            pass  # the model is still being loaded
        time.sleep(POLL_SECONDS)
    raise TransientError(f"no search was answered by both generations within {READY}")


def _timed(client: SearchClient, text: str, session: str) -> tuple[SearchResponse, float]:
    began = time.perf_counter()
    answer = client.search(text, session_id=session)
    return answer, time.perf_counter() - began


def _is_drafted(answer: SearchResponse) -> bool:
    return any(hit.team for hit in answer.hits)
