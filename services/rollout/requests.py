"""Requests on `rollout.v1`, and their answers: what commands and the demo ask of the rollout worker."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

from schemas.control import Rollout
from services.rollout.domain.readiness import GenerationEvidence, waiting_for
from services.rollout.evidence import EvidenceCollector
from services.rollout.settings import Settings
from shared.clock import SystemClock
from shared.errors import ConfigurationError, TransientError
from shared.generations.rollout_log import RolloutLog
from shared.kafka.publisher import KafkaPublisher
from shared.patience import Missing, Silence, may_be_there
from shared.ports import outgoing
from shared.state.redis import connect

ANSWERED_SECONDS = 20.0
"""A worker that is there has answered by now."""
LOOK_SECONDS = 0.25
OnProgress = Callable[[GenerationEvidence, GenerationEvidence, list[str]], None]
"""Of candidate and live generation, and what the candidate lacks."""


def new_request(action: str, generation: str) -> Rollout:
    """Return a request of its own; raises `ConfigurationError` for what cannot be a generation's name."""
    try:
        return Rollout.model_validate(
            {
                "request_id": f"{action}-{uuid4().hex[:12]}",
                "action": action,
                "generation": generation,
                "requested_at": SystemClock().now(),
            }
        )
    except ValueError as error:
        raise ConfigurationError(f"{generation!r} is no name of a generation: a-z, 0-9 and -") from error


async def ask(
    settings: Settings,
    request: Rollout,
    on_progress: OnProgress = lambda *_: None,
    *,
    missing: Missing = may_be_there,
) -> Rollout:
    """Publish a request and return its final answer, of a trial that it has begun.

    `on_progress` hears how far a backfill is. Raises `TransientError` when nobody answers, and sooner when
    nobody is there.
    """
    log, publisher, redis = RolloutLog(settings), KafkaPublisher(settings), connect(settings)
    await log.start()
    try:
        await publisher.start()
        await publisher.publish([outgoing(request)])
        evidence = EvidenceCollector(redis, settings)
        silence = Silence(missing)
        until = ("done", "refused", "running") if request.action == "trial" else ("done", "refused")
        while (answer := log.answers.get(request.request_id or "")) is None or answer.status not in until:
            if answer is None:
                await silence.look()
            if answer is None and silence.seconds > ANSWERED_SECONDS:
                raise TransientError(
                    f"no rollout worker has answered in {ANSWERED_SECONDS:g} s; it stays until one does",
                    fix="look at its log, or start one (`headrace up`, or `headrace worker rollout`)",
                )
            if answer is not None:
                live = await evidence.collect(log.generations.live or "")
                candidate = await evidence.collect(request.generation)
                lacking = waiting_for(candidate, live, most_behind=settings.rollout.most_behind)
                on_progress(candidate, live, lacking)
            await asyncio.sleep(LOOK_SECONDS)
        return answer
    finally:
        await publisher.stop()
        await log.stop()
        await redis.aclose()
