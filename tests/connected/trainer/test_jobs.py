"""Training jobs: asked for by a message, done by whoever lives, and done once."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL
from uuid import uuid4

import pytest

from schemas.control import Model, TrainingJob
from services.trainer.jobs.domain.job import ENDED
from services.trainer.jobs.task import LOG, RESULT, TASK, folder_of
from shared.infrastructure.process import Process, free_port
from shared.infrastructure.topics import apply
from shared.kafka.compacted import CompactedTopic, read_once
from shared.settings import Settings
from tests.connected.trainer.gated_job import GATE
from tests.connected.trainer.shop import send, shop
from tests.unit.trainer.tiny import tiny_model

pytestmark = [pytest.mark.connected, pytest.mark.timeout(600)]
PATIENCE = 240.0
STEP_BY_STEP = {
    "epochs": 4,
    "patience": 4,
    "checkpoint_steps": 1,
    "queries": 2,
}


class Trainers:
    """Trainer processes of one installation."""

    def __init__(self, settings: Settings, model: Path, gate: Path) -> None:
        self.settings = settings
        os.mkfifo(gate)
        self._gate = os.open(gate, os.O_RDWR)  # so that neither side waits for the other to open it
        self._environment = {
            **os.environ,
            "HEADRACE_KAFKA": settings.kafka,
            "HEADRACE_REDIS": settings.redis.get_secret_value(),
            "HEADRACE_TOPIC_PREFIX": settings.topic_prefix,
            "HEADRACE_NAMESPACE": settings.namespace,
            "HEADRACE_DATA_DIR": str(settings.data_dir),
            "HEADRACE_PARTITIONS": str(settings.partitions),
            "HEADRACE_MODEL__PATH": str(model),
            "HEADRACE_TRAINER__LEASE": "PT2S",
            "HEADRACE_TRAINER__NICE": "0",  # a busy machine would never come to it
            "HEADRACE_MODEL__THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "HEADRACE_DATASET__SHOPPERS": "1",
            GATE: str(gate),
        }
        self._running: list[Process] = []

    def start(self) -> Process:
        port = free_port()
        log = self.settings.data_dir / f"trainer-{port}.log"
        process = Process(
            [sys.executable, "-m", "tests.connected.trainer.gated_trainer"],
            log=log,
            environment={**self._environment, "HEADRACE_TRAINER__PORT": str(port)},
        )
        process.launch()
        self._running.append(process)
        return process

    def let_learn(self, steps: int) -> None:
        """Let the job learn so many steps more; at the next one it waits."""
        os.write(self._gate, b"." * steps)

    def stop(self) -> None:
        for process in self._running:
            process.stop()
        os.close(self._gate)

    def ask(self, **changes: object) -> str:
        job_id = f"test/../{uuid4().hex}"  # an id that must not become a path
        given = {
            "job_id": job_id,
            "status": "requested",
            "reason": "manual",
            "base_model": "",
            "updated_at": datetime.now(UTC),
            **changes,
        }
        send(self.settings, [TrainingJob.model_validate(given)])
        return job_id

    def until(self, job_id: str, holds: Callable[[TrainingJob], bool]) -> TrainingJob:
        """Follow the job until that holds."""
        return asyncio.run(self._followed(job_id, holds))

    async def _followed(self, job_id: str, holds: Callable[[TrainingJob], bool]) -> TrainingJob:
        jobs = CompactedTopic(self.settings, TrainingJob.topic)
        await jobs.start()
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds(job := TrainingJob.decode(jobs.items[job_id.encode()])):
                    assert job.status not in ENDED, job
                    await jobs.wait_change()
                return job
        except TimeoutError as error:
            raise AssertionError(f"{job}\n{self.tails()}") from error
        finally:
            await jobs.stop()

    def tails(self) -> str:
        """Return the last words of every process."""
        return "\n".join(process.tail(20) for process in self._running)


def learning(job: TrainingJob) -> bool:
    return job.status == "running" and job.stage == "training" and job.progress > 0


@pytest.fixture
def trainers(
    kafka: str, redis_url: str, topic_prefix: str, namespace: str, tmp_path: Path
) -> Iterator[Trainers]:
    settings = Settings(
        kafka=kafka,
        redis=redis_url,
        topic_prefix=topic_prefix,
        namespace=namespace,
        partitions=2,
        data_dir=tmp_path / "data",
    )
    settings.data_dir.mkdir()
    asyncio.run(apply(settings))
    send(settings, shop())
    running = Trainers(settings, tiny_model(tmp_path / "base"), tmp_path / "gate")
    yield running
    running.stop()


def test_a_job_is_done_once_whatever_becomes_of_its_workers(trainers: Trainers) -> None:
    worker, job_id = trainers.start(), trainers.ask(options=STEP_BY_STEP)
    trainers.let_learn(5)
    trainers.until(job_id, learning)
    assert worker.stop() == 0
    left = trainers.until(job_id, lambda job: job.status == "requested")
    assert left.attempt == 0  # to be told to stop is no failed attempt

    worker = trainers.start()
    trainers.let_learn(5)
    trainers.until(job_id, lambda job: learning(job) and job.progress > left.progress)
    assert worker.pid is not None
    os.kill(worker.pid, SIGKILL)

    trainers.start()
    trainers.let_learn(1000)
    done = trainers.until(job_id, lambda job: job.status in {"succeeded", "failed"})
    assert (done.status, done.attempt, done.error) == ("succeeded", 2, "")
    models = asyncio.run(read_once(trainers.settings, Model.topic)).items
    model = Model.decode(models[(done.model_id or "").encode()])
    assert len(models) == 1
    assert model.lineage == done.data
    assert [it.name for it in (trainers.settings.data_dir / "models").iterdir()] == [done.model_id]
    assert sorted(it.name for it in folder_of(trainers.settings, job_id).iterdir()) == [LOG, RESULT, TASK]


def test_a_job_that_cannot_be_done_fails_with_its_reason_and_the_worker_lives(trainers: Trainers) -> None:
    worker = trainers.start()
    wrong = trainers.ask(base_model="m-unknown")
    assert "no model 'm-unknown'" in trainers.until(wrong, lambda job: job.status == "failed").error
    wrong = trainers.ask(options={"epoch": 3})
    assert "recipe: epoch" in trainers.until(wrong, lambda job: job.status == "failed").error
    assert worker.running
