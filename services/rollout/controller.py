"""Answers requests, and says when a generation is whole: tick after tick, each from the log's end."""

from dataclasses import dataclass
from datetime import datetime

import structlog
from prometheus_client import Counter, Gauge

from schemas.alerts import Alert
from schemas.control import Command, Model, Rollout
from services.rollout.domain.decision import objection
from services.rollout.domain.readiness import GenerationEvidence, canaries_for, waiting_for
from services.rollout.domain.unserved import unanswerable
from services.rollout.evidence import EvidenceCollector
from services.rollout.models import CandidateModels
from services.rollout.settings import Settings
from services.rollout.topics import GenerationTopics
from services.rollout.trials.conductor import Standings, TrialConductor
from services.rollout.trials.promotion_requests import PromotionRequests
from shared.errors import ConfigurationError
from shared.generations.rollout_log import TOPIC, RolloutLog
from shared.generations.state import Generation
from shared.kafka.offsets import BrokerLog
from shared.ports import Clock, Publisher, outgoing

log = structlog.get_logger()

SWITCHES = frozenset({"promote", "rollback", "trial"})
"""The actions by which another generation answers searches."""

answers = Counter("headrace_rollout_answers", "Requests answered", ("action", "status"))
documents = Gauge("headrace_generation_products", "Products that a generation serves", ("generation",))
lag = Gauge("headrace_generation_lag_messages", "Messages a generation is behind", ("generation",))


@dataclass(frozen=True, kw_only=True)
class RolloutDependencies:
    """What the controller works with."""

    rollouts: RolloutLog
    evidence: EvidenceCollector
    models: CandidateModels
    topics: GenerationTopics
    edges: BrokerLog
    standings: Standings
    promotion_requests: PromotionRequests
    publisher: Publisher
    clock: Clock


class RolloutController:
    """Decides while it leads; nothing that it remembers between two ticks is needed by the next leader."""

    def __init__(self, settings: Settings, dependencies: RolloutDependencies) -> None:
        self._settings = settings
        self._with = dependencies
        self._trials = TrialConductor(
            settings,
            dependencies.rollouts,
            dependencies.standings,
            publisher=dependencies.publisher,
            clock=dependencies.clock,
        )
        self._caught_up: dict[str, datetime] = {}
        """Since when each generation that is built lacks nothing but its canaries."""
        self._cleared: set[str] = set()
        """The retired generations whose topics are gone."""

    async def tick(self, epoch: int) -> None:  # noqa: ARG002 - of two answers the first in the log counts
        """Answer the oldest request, or follow what is being built."""
        rollouts = self._with.rollouts
        if not self._undone():
            return
        # The log may be a moment behind its topic, and the answer to what looks open may lie there: a
        # deposed leader, too, must have read to the end before it answers anything.
        _, end = await self._with.edges.edges(TOPIC)
        if rollouts.next_offset < end:
            return
        await self._with.promotion_requests.resolve()
        # One message a tick at most: what it changes must be read back before the next decision.
        if rollouts.generations != rollouts.ledger.generations:
            await self._write_founding()
        elif rollouts.ledger.pending:
            await self._answer(rollouts.ledger.pending[0])
        elif (next_message := await self._trials.next()) is not None:
            await self._write(next_message)
        else:
            await self._follow_generations()

    def _undone(self) -> bool:
        """Whether anything looks undone; the broker need not be asked for nothing."""
        ledger, state = self._with.rollouts.ledger, self._with.rollouts.generations
        retired = {generation.name for generation in state.of("retired")}
        undone = ledger.pending or ledger.running or state.of("building") or retired - self._cleared
        return (
            bool(undone)
            or state != ledger.generations
            or not self._trials.idle
            or bool(self._with.promotion_requests.answered)
        )

    async def _write_founding(self) -> None:
        """Write down what the configuration says, so that the log alone tells what is live."""
        name = self._with.rollouts.generations.live or self._settings.generation
        request_id = f"founding-{name}-{self._with.rollouts.next_offset}"
        founding = Rollout(
            request_id=request_id, action="promote", generation=name, requested_at=self._with.clock.now()
        )
        await self._publish(founding, "done", "as configured")

    async def _answer(self, request: Rollout) -> None:
        model = None if request.model_id is None else await self._with.models.find(request.model_id)
        reason = objection(self._with.rollouts.generations, request, model)
        if reason is None and request.action == "backfill" and model is not None:
            reason = await self._prepare(model, request.generation)
        if reason is None and request.action in SWITCHES and not request.force:
            reason = await self._unanswerable(request)
        if reason is not None:
            await self._publish(request, "refused", reason)
        elif request.action == "backfill":
            live = self._with.rollouts.generations.live
            begun = request.model_copy(update={"model": model})
            await self._publish(begun, "running", f"built from {live}")
        elif request.action == "trial":
            await self._begin_trial(request)
        else:
            await self._publish(request, "done", "")

    async def _unanswerable(self, request: Rollout) -> str | None:
        """Return why the generation that searches would go to cannot answer them."""
        name = request.generation
        if request.action == "rollback":
            name = self._with.rollouts.generations.back_from(name) or name
        return unanswerable(await self._with.evidence.collect(name))

    async def _begin_trial(self, request: Rollout) -> None:
        begun = self._trials.begin(request)
        if isinstance(begun, str):
            await self._publish(request, "refused", begun)
        else:
            await self._publish(begun, "running", f"tried against {self._with.rollouts.generations.live}")

    async def _prepare(self, model: Model, generation: str) -> str | None:
        """Look the model through and make the topic; return why that cannot be done.

        Before the answer: a worker that reads "running" may load the model and write to the topic at once.
        """
        reason = await self._with.models.objection(model, generation)
        if reason is not None:
            await self._raise_alert(generation, f"is not built: {reason}")
            return reason
        try:
            await self._with.topics.make(generation)
        except ConfigurationError as error:
            return str(error)
        return None

    async def _follow_generations(self) -> None:
        """See to every generation: what is built, what was given up."""
        state = self._with.rollouts.generations
        for generation in state.of("building"):
            await self._follow_build(generation)
        running = self._with.rollouts.ledger.running
        for generation in state.of("retired"):
            if generation.request_id in running:
                request = self._backfill_of(generation)
                await self._publish(request, "refused", "it was retired before it was ready")
            await self._remove_topic(generation)

    async def _follow_build(self, generation: Generation) -> None:
        live = await self._evidence(self._with.rollouts.generations.live or "")
        candidate = await self._evidence(generation.name)
        if candidate.refused:
            await self._raise_alert(generation.name, f"was given up: {candidate.refused}")
            await self._publish(self._backfill_of(generation), "refused", candidate.refused)
            return
        if waiting_for(candidate, live, most_behind=self._settings.rollout.most_behind):
            self._caught_up.pop(generation.name, None)
            return
        # Only canaries that ran on the whole index count, so they are asked for when it is whole.
        if generation.name not in self._caught_up:
            self._caught_up[generation.name] = self._with.clock.now()
            await self._run_canaries(generation.name)
        if not canaries_for(candidate, live, since=self._caught_up[generation.name]):
            whole = f"{candidate.documents} products, {len(live.canaries)} canaries"
            await self._publish(self._backfill_of(generation), "done", whole)

    async def _evidence(self, generation: str) -> GenerationEvidence:
        evidence = await self._with.evidence.collect(generation)
        documents.labels(generation).set(evidence.documents)
        lag.labels(generation).set(evidence.lag)
        return evidence

    async def _run_canaries(self, generation: str) -> None:
        now = self._with.clock.now()
        command = Command(
            command_id=f"{generation}-{now:%Y%m%d%H%M%S%f}",
            name="canaries.run",
            worker="monitor",
            arguments={"generation": generation},
            requested_at=now,
        )
        await self._with.publisher.publish([outgoing(command)])

    async def _remove_topic(self, generation: Generation) -> None:
        """Remove the topic of a generation that was given up, once nobody reads or writes it any more."""
        if generation.name in self._cleared:
            return
        evidence = await self._with.evidence.collect(generation.name)
        if not (evidence.running or evidence.waiting or evidence.ready or evidence.taken_over):
            removed = await self._with.topics.remove(generation.name)
            self._cleared.add(generation.name)
            log.info("generation.cleared", generation=generation.name, topic_removed=removed)

    async def _publish(self, request: Rollout, status: str, reason: str) -> None:
        """Publish the answer to a request."""
        await self._write(request.model_copy(update={"status": status, "reason": reason}))

    async def _write(self, message: Rollout) -> None:
        await self._with.publisher.publish([outgoing(message)])
        answers.labels(message.action, message.status).inc()
        log.info(
            "rollout.answered",
            action=message.action,
            generation=message.generation,
            status=message.status,
            reason=message.reason,
            request_id=message.request_id,
        )

    async def _raise_alert(self, generation: str, what: str) -> None:
        now, key = self._with.clock.now(), f"rollout:{generation}"
        alert = Alert(
            alert_key=key,
            status="firing",
            severity="warning",
            summary=f"generation {generation} {what}"[:2000],
            cause="bug",
            resolution="manual",
            action="mend the model or choose another one, and build it under a new name;"
            f" then `headrace alerts resolve {key}`",
            generation=None,
            started_at=now,
            updated_at=now,
        )
        await self._with.publisher.publish([outgoing(alert)])

    def _backfill_of(self, generation: Generation) -> Rollout:
        """Return the request that the generation was begun with, as far as an answer needs it."""
        return Rollout(
            request_id=generation.request_id,
            action="backfill",
            generation=generation.name,
            model_id=generation.model.model_id if generation.model else None,
            requested_at=self._with.clock.now(),
        )
