"""Answers requests, and says when a generation is whole: look after look, each from the log's end."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import structlog
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from schemas.alerts import Alert
from schemas.control import Command, Model, Rollout
from services.rollout.domain.decision import objection
from services.rollout.domain.readiness import Evidence, canaries_for, waiting_for
from services.rollout.evidence import Witnesses
from services.rollout.settings import Settings
from services.rollout.topics import GenerationTopics
from shared.adapters.broker_log import BrokerLog
from shared.compacted import read_once
from shared.encoder.description import check_model
from shared.errors import ConfigurationError, TransientError
from shared.generations import Generation
from shared.ports import Clock, Publisher, outgoing
from shared.records import Partition
from shared.rollout_log import RolloutLog

log = structlog.get_logger()

TOPIC = Partition(Rollout.topic, 0)

answers = Counter("headrace_rollout_answers", "Requests answered", ("action", "status"))
documents = Gauge("headrace_generation_products", "Products that a generation serves", ("generation",))
lag = Gauge("headrace_generation_lag_messages", "Messages a generation is behind", ("generation",))


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """What the conductor works with."""

    rollouts: RolloutLog
    witnesses: Witnesses
    topics: GenerationTopics
    edges: BrokerLog
    publisher: Publisher
    clock: Clock


class Conductor:
    """Decides while it leads; nothing that it remembers between two looks is needed by the next leader."""

    def __init__(self, settings: Settings, instruments: Instruments) -> None:
        self._settings = settings
        self._with = instruments
        self._caught_up: dict[str, datetime] = {}
        """Since when each generation that is built lacks nothing but its canaries."""
        self._cleared: set[str] = set()

    async def look(self, epoch: int) -> None:  # noqa: ARG002 - of two answers the first in the log counts
        """Answer the oldest request, or say what has become of what is being built."""
        rollouts = self._with.rollouts
        if not self._open():
            return
        _, end = await self._with.edges.edges(TOPIC)
        if rollouts.next_offset < end:
            return  # the answer to what looks open may lie there
        if rollouts.generations != rollouts.ledger.generations:
            await self._found()
        elif rollouts.ledger.pending:
            await self._answer(rollouts.ledger.pending[0])
        else:
            await self._watch()

    def _open(self) -> bool:
        """Whether anything looks undone; the broker need not be asked for nothing."""
        ledger, state = self._with.rollouts.ledger, self._with.rollouts.generations
        retired = {each.name for each in state.of("retired")}
        undone = ledger.pending or ledger.running or state.of("building") or retired - self._cleared
        return bool(undone) or state != ledger.generations

    async def _found(self) -> None:
        """Write down what the configuration says, so that the log alone tells what is live."""
        name = self._with.rollouts.generations.live or self._settings.generation
        request_id = f"founding-{name}-{self._with.rollouts.next_offset}"
        founding = Rollout(
            request_id=request_id, action="promote", generation=name, requested_at=self._with.clock.now()
        )
        await self._say(founding, "done", "as configured")

    async def _answer(self, request: Rollout) -> None:
        model = await self._model(request.model_id)
        reason = objection(self._with.rollouts.generations, request, model)
        if reason is None and request.action == "backfill" and model is not None:
            reason = await self._unfit(model, request.generation) or await self._make(request.generation)
        if reason is not None:
            await self._say(request, "refused", reason)
        elif request.action == "backfill":
            live = self._with.rollouts.generations.live
            await self._say(request.model_copy(update={"model": model}), "running", f"built from {live}")
        else:
            await self._say(request, "done", "")

    async def _unfit(self, model: Model, generation: str) -> str | None:
        """Return why the model's directory must not be loaded."""
        built = Generation(name=generation, stage="building", model=model)
        try:
            await asyncio.to_thread(check_model, built.settings(self._settings).model, model)
        except ConfigurationError as error:
            return str(error)
        return None

    async def _make(self, generation: str) -> str | None:
        """Make the topic; return why the broker does not."""
        try:
            await self._with.topics.make(generation)
        except ConfigurationError as error:
            return str(error)
        return None

    async def _watch(self) -> None:
        """Look at every generation: what is built, what was given up, what is served."""
        state = self._with.rollouts.generations
        for generation in state.of("building"):
            await self._build(generation)
        running = self._with.rollouts.ledger.running
        for generation in state.of("retired"):
            if generation.request_id in running:
                await self._say(self._backfill(generation), "refused", "it was retired before it was ready")
            await self._clear(generation)

    async def _build(self, generation: Generation) -> None:
        live = await self._heard(self._with.rollouts.generations.live or "")
        candidate = await self._heard(generation.name)
        if candidate.refused:
            await self._with.publisher.publish([outgoing(self._alert(generation, candidate.refused))])
            await self._say(self._backfill(generation), "refused", candidate.refused)
            return
        lacking = waiting_for(candidate, live, most_behind=self._settings.rollout.most_behind)
        if lacking:
            self._caught_up.pop(generation.name, None)
            return
        if generation.name not in self._caught_up:
            self._caught_up[generation.name] = self._with.clock.now()
            await self._run_canaries(generation.name)
        if not canaries_for(candidate, live, since=self._caught_up[generation.name]):
            said = f"{candidate.documents} products, {len(live.canaries)} canaries"
            await self._say(self._backfill(generation), "done", said)

    async def _heard(self, generation: str) -> Evidence:
        heard = await self._with.witnesses.heard(generation)
        documents.labels(generation).set(heard.documents)
        lag.labels(generation).set(heard.lag)
        return heard

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

    async def _clear(self, generation: Generation) -> None:
        """Remove the topic of a generation that was given up, once nobody reads or writes it any more."""
        if generation.name in self._cleared:
            return
        heard = await self._with.witnesses.heard(generation.name)
        if not (heard.running or heard.waiting or heard.ready or heard.taken_over):
            removed = await self._with.topics.remove(generation.name)
            self._cleared.add(generation.name)
            log.info("generation.cleared", generation=generation.name, topic_removed=removed)

    async def _say(self, request: Rollout, status: str, reason: str) -> None:
        answer = request.model_copy(update={"status": status, "reason": reason})
        await self._with.publisher.publish([outgoing(answer)])
        answers.labels(request.action, status).inc()
        log.info(
            "rollout.answered",
            action=request.action,
            generation=request.generation,
            status=status,
            reason=reason,
            request_id=request.request_id,
        )

    async def _model(self, model_id: str | None) -> Model | None:
        """Return the model as `models.v1` has it now: it may have been written just before the request."""
        if model_id is None:
            return None
        try:
            found = (await read_once(self._settings, Model.topic)).items.get(model_id.encode())
        except KafkaError as error:
            raise TransientError(f"{Model.topic} cannot be read: {error!r}") from error
        return None if found is None else Model.decode(found)

    def _alert(self, generation: Generation, reason: str) -> Alert:
        now, key = self._with.clock.now(), f"rollout:{generation.name}"
        return Alert(
            alert_key=key,
            status="firing",
            severity="warning",
            summary=f"generation {generation.name} was given up: {reason}"[:2000],
            cause="bug",
            resolution="manual",
            action="mend the model or choose another one, and build it under a new name;"
            f" then `headrace alerts resolve {key}`",
            generation=None,
            started_at=now,
            updated_at=now,
        )

    def _backfill(self, generation: Generation) -> Rollout:
        """Return the request that the generation was begun with, as far as an answer needs it."""
        return Rollout(
            request_id=generation.request_id,
            action="backfill",
            generation=generation.name,
            model_id=generation.model.model_id if generation.model else None,
            requested_at=self._with.clock.now(),
        )
