"""What a job is told of the shop: with which weight its live model is served, and what it must find."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.alerts import Alert
from schemas.control import Model, Rollout, TrainingJob
from schemas.judgements import Canary
from services.trainer.jobs.inputs import JobInputs
from services.trainer.jobs.registry import JobRegistry
from services.trainer.jobs.settings import Settings
from services.trainer.jobs.task import JobBase
from shared.encoder.description import describe
from shared.generations.rollout_log import read_rollouts
from shared.infrastructure.topics import apply
from shared.kafka.publisher import KafkaPublisher
from shared.settings import ModelSettings
from tests.connected.trainer.shop import send
from tests.unit.trainer.tiny import tiny_model

pytestmark = [pytest.mark.connected, pytest.mark.timeout(300)]
NOW = datetime(2026, 11, 21, tzinfo=UTC)
JOB = TrainingJob(job_id="j1", status="requested", reason="drift", base_model="", updated_at=NOW)
LAMPS = Canary(canary_id="lamps", query="lamp", product_ids=("p1",))


@pytest.fixture
def settings(kafka: str, redis_url: str, topic_prefix: str, namespace: str, tmp_path: Path) -> Settings:
    of_shop = Settings(
        kafka=kafka,
        redis=redis_url,
        topic_prefix=topic_prefix,
        namespace=namespace,
        data_dir=tmp_path / "data",
        model=ModelSettings(path=tiny_model(tmp_path / "base")),
    )
    asyncio.run(apply(of_shop))
    return of_shop


def rollout(action: str, generation: str, model: Model | None = None) -> Rollout:
    return Rollout.model_validate(
        {
            "request_id": f"{action}-{generation}",
            "status": "done" if model is None else "running",
            "action": action,
            "generation": generation,
            "model": model,
            "requested_at": NOW,
        }
    )


def alert(status: str) -> Alert:
    return Alert.model_validate(
        {
            "alert_key": "drift:g2:query-embeddings",
            "status": status,
            "severity": "warning",
            "summary": "shoppers ask for other things",
            "action": "train",
            "generation": "g2",
            "started_at": NOW,
            "updated_at": NOW,
        }
    )


def inputs(settings: Settings) -> tuple[JobBase, str, tuple[Canary, ...]]:
    async def read() -> tuple[JobBase, str, tuple[Canary, ...]]:
        registry = JobRegistry(settings, KafkaPublisher(settings))
        found = JobInputs(settings, registry, await read_rollouts(settings))
        return *await found.base_of(JOB), await found.canaries()

    return asyncio.run(read())


def test_a_job_knows_how_the_live_model_is_served_and_what_it_must_find(settings: Settings) -> None:
    base, generation, canaries = inputs(settings)
    assert (base.dense_weight, generation, canaries) == (None, "g1", ())

    fitted = tiny_model(settings.data_dir / "fitted", seed=1)
    model = Model(
        model_id="m-2",
        fingerprint=describe(fitted, settings.model).fingerprint,
        location=str(fitted),
        dimensions=24,
        verdict="admitted",
        dense_weight=0.75,
        created_at=NOW,
    )
    answers = [rollout("promote", "g1"), rollout("backfill", "g2", model), rollout("backfill", "g2")]
    send(settings, [*answers, rollout("promote", "g2"), LAMPS])
    base, generation, canaries = inputs(settings)
    assert (base.model_id, base.dense_weight, generation) == ("m-2", 0.75, "g2")
    assert canaries == (LAMPS,)

    send(settings, [alert("firing")])
    assert inputs(settings)[0].dense_weight is None, "search has gone back to its own"
    send(settings, [alert("resolved")])
    assert inputs(settings)[0].dense_weight == 0.75
