"""Asks a trial's two generations at once, and lets nobody wait long for the candidate."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import structlog
from prometheus_client import Counter

from services.search.domain.answer import SearchAnswer
from shared.http.problem import Refusal

log = structlog.get_logger()
undrafted = Counter(
    "headrace_search_trial_undrafted",
    "Answers of a trial's interleaved arm that the live generation gave alone, by what the candidate lacked",
    ("reason",),
)

Asking = Coroutine[Any, Any, SearchAnswer]


async def ask_both(live: Asking, candidate: Asking, *, budget: timedelta) -> list[SearchAnswer]:
    """Return the live generation's answer, and the candidate's after it if the two can be compared.

    They cannot when the candidate fails, when it takes longer than the live one by more than `budget`, and
    when a shard of either is missing, which says nothing of a model. Raises what the live one raises.
    """
    asked = asyncio.ensure_future(candidate)
    asked.add_done_callback(_retrieve)
    try:
        answer = await live
        await asyncio.wait({asked}, timeout=budget.total_seconds())
        lack = _lack(answer, asked)
    finally:
        asked.cancel()
    if lack is None:
        return [answer, asked.result()]
    undrafted.labels(lack).inc()
    return [answer]


def _lack(live: SearchAnswer, asked: "asyncio.Future[SearchAnswer]") -> str | None:
    """Return why the candidate's answer is not to be drafted from; None: it is."""
    if not asked.done():
        return "late"
    if (error := asked.exception()) is not None:
        if not isinstance(error, Refusal):
            log.error("trial.candidate_failed", error=repr(error))
        return "failed"
    return "partial" if live.partial or asked.result().partial else None


def _retrieve(asked: "asyncio.Future[SearchAnswer]") -> None:
    if not asked.cancelled():
        asked.exception()  # of one that failed while the live one did, nobody else asks
