"""How the audience steers the learning loop: a message for each wish, and its answer from the same topic."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from uuid import uuid4

from pydantic import ValidationError

from schemas.base import Scalar
from schemas.control import Model, Rollout, TrainingJob
from schemas.judgements import Negative
from services.cli.demonstration.place import Place, until
from services.trainer.domain.job import ENDED
from shared.compacted import CompactedTopic
from shared.errors import TransientError
from shared.following import Follower
from shared.records import Record

TRAINED_WITHIN = timedelta(minutes=40)
ANSWERED_WITHIN = timedelta(seconds=60)


class Steering:
    """Follows the low-rate topics of the learning loop; open it with `start`, close it with `stop`."""

    def __init__(self, place: Place) -> None:
        settings = place.addresses.settings
        self._place = place
        self._negatives = CompactedTopic(settings, Negative.topic)
        self._jobs = CompactedTopic(settings, TrainingJob.topic)
        self._models = CompactedTopic(settings, Model.topic)
        self._rollouts = Follower(settings, Rollout.topic, self._answered)
        self._answers: dict[str, Rollout] = {}
        self._followed = (self._negatives, self._jobs, self._models, self._rollouts)

    async def start(self) -> None:
        """Read what there is, and follow."""
        for each in self._followed:
            await each.start()

    async def stop(self) -> None:
        """Stop following."""
        for each in self._followed:
            await each.stop()

    def negatives(self) -> list[Negative]:
        """Return the hard negatives published so far."""
        return [Negative.decode(value) for value in list(self._negatives.items.values())]

    @property
    def negatives_count(self) -> int:
        """How many there are."""
        return len(self._negatives.items)

    def model(self, model_id: str) -> Model:
        """Return the record of a model that a job has made."""
        return Model.decode(self._models.items[model_id.encode()])

    async def train(
        self, seed: int, recipe: Mapping[str, Scalar], show: Callable[[TrainingJob], None]
    ) -> TrainingJob:
        """Ask for a job and return it as it ended; raises `TransientError` when it does not end."""
        job_id = f"demo-{uuid4().hex[:8]}"
        now = self._place.clock.now()
        await self._place.publish(
            TrainingJob(
                job_id=job_id,
                status="requested",
                reason="manual",
                base_model="",
                seed=seed,
                options=recipe,
                updated_at=now,
            )
        )

        async def ended() -> TrainingJob | None:
            await asyncio.sleep(0.3)
            if (value := self._jobs.items.get(job_id.encode())) is None:
                return None
            job = TrainingJob.decode(value)
            show(job)
            return job if job.status in ENDED else None

        job, _ = await until(ended, within=TRAINED_WITHIN)
        if job is None:
            raise TransientError(f"job {job_id} has not ended within {TRAINED_WITHIN}")
        return job

    async def roll(
        self, request: Rollout, *, within: timedelta = ANSWERED_WITHIN
    ) -> tuple[Rollout, timedelta]:
        """Ask for a roll-out's step; return what became of it, and after how long."""
        request_id = f"demo-{uuid4().hex[:8]}"
        await self._place.publish(request.model_copy(update={"request_id": request_id}))

        async def answered() -> Rollout | None:
            return self._answers.get(request_id)

        answer, took = await until(answered, within=within)
        if answer is None:
            raise TransientError(f"{request.action} of {request.generation} was not answered within {within}")
        return answer, took

    def _answered(self, record: Record) -> None:
        try:
            message = Rollout.decode(record.value or b"")
        except ValidationError:
            return
        if message.request_id and message.status in {"done", "refused"}:
            self._answers[message.request_id] = message
