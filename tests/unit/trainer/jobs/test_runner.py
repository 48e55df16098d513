"""The runner with a process that does what it is told: leases, progress, ends of every kind."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.control import Model, OffsetRange, TrainingJob
from schemas.judgements import Canary, Judgement
from services.trainer.jobs.runner import PUBLISH_EVERY, JobRunner
from services.trainer.jobs.settings import Settings, TrainerSettings
from services.trainer.jobs.task import TASK, JobBase, Task, folder_of
from shared.errors import ConfigurationError, TransientError
from tests.unit.shared.cluster.leases import MemoryLeases
from tests.unit.trainer.jobs.scripted_job import SCRIPT

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CANARY = Canary(canary_id="lamps", query="lamp", product_ids=("p1",))
DATA = (OffsetRange(topic=Judgement.topic, partition=0, start=0, end=9),)
PATIENCE = 60


class Clock:
    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment


class Registry:
    """The bus, as a list of what was written, in order."""

    def __init__(self) -> None:
        self.written: list[TrainingJob | Model] = []

    def jobs(self) -> dict[str, TrainingJob]:
        return {it.job_id: it for it in self.written if isinstance(it, TrainingJob)}

    async def publish(self, job: TrainingJob) -> None:
        self.written.append(job)

    async def publish_model(self, model: Model) -> None:
        self.written.append(model)

    def statuses(self) -> list[str]:
        return [it.status if isinstance(it, TrainingJob) else "model" for it in self.written]


class Inputs:
    """Every job begins with the same model; `failure`, when set, is raised instead."""

    def __init__(self) -> None:
        self.failure: Exception | None = None

    async def base_of(self, job: TrainingJob) -> tuple[JobBase, str]:
        if self.failure is not None:
            raise self.failure
        return JobBase(path=Path("/models/base"), model_id="m-0", fingerprint="0" * 16), "g1"

    async def canaries(self) -> tuple[Canary, ...]:
        return (CANARY,)

    async def ranges_of(self, job: TrainingJob) -> tuple[OffsetRange, ...]:
        return DATA


class Shop:
    """Trainers of one installation, on leases in memory."""

    def __init__(self, folder: Path) -> None:
        self.leases, self.clock = MemoryLeases(), Clock()
        self.registry, self.inputs = Registry(), Inputs()
        self.settings = Settings(
            data_dir=folder, instance="one", trainer=TrainerSettings(attempts=2, lease=timedelta(seconds=9))
        )
        self.runners: list[JobRunner] = []

    def trainer(self, owner: str = "one") -> JobRunner:
        runner = JobRunner(
            self.settings,
            self.registry,
            self.inputs,
            leases=lambda name: self.leases.lease(name, owner),
            clock=self.clock,
            program="tests.unit.trainer.jobs.scripted_job",
        )
        self.runners.append(runner)
        return runner

    def ask(self, **changes: object) -> TrainingJob:
        job = TrainingJob.model_validate(
            {"job_id": "j1", "status": "requested", "reason": "manual", "base_model": "", "updated_at": NOON}
            | changes
        )
        self.registry.written.append(job)
        return job

    @property
    def job(self) -> TrainingJob:
        return self.registry.jobs()["j1"]

    async def until(self, runner: JobRunner, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, self.registry.written
            await runner.tick()
            os.sched_yield()


@pytest.fixture
async def shop(tmp_path, monkeypatch):
    monkeypatch.setenv(SCRIPT, "wait")
    installation = Shop(tmp_path)
    yield installation
    for runner in installation.runners:
        await runner.stop()


def script(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    monkeypatch.setenv(SCRIPT, words)


async def test_a_job_is_leased_and_handed_to_a_process_with_its_data(shop):
    shop.ask()
    runner = shop.trainer()
    await runner.tick()
    assert runner.job == shop.job
    assert (shop.job.status, shop.job.attempt, shop.job.worker) == ("leased", 1, "one")
    assert shop.job.data == DATA
    task = Task.model_validate_json((folder_of(shop.settings, "j1") / TASK).read_bytes())
    assert (task.job, task.base.model_id, task.generation) == (shop.job, "m-0", "g1")
    assert task.canaries == (CANARY,)


async def test_a_job_that_another_worker_holds_is_left_to_it(shop):
    shop.ask()
    await shop.trainer().tick()
    other = shop.trainer("other")
    await other.tick()
    assert other.job is None
    assert shop.job.worker == "one"


async def test_a_worker_does_one_job_at_a_time_the_oldest_first(shop):
    shop.ask(job_id="j2", updated_at=NOON + timedelta(seconds=1))
    shop.ask()
    runner = shop.trainer()
    await runner.tick()
    await runner.tick()
    assert runner.job is not None
    assert runner.job.job_id == "j1"
    assert shop.registry.jobs()["j2"].status == "requested"


async def test_what_comes_out_is_published_the_model_before_the_job(shop, monkeypatch):
    script(monkeypatch, "noise training=0.5 result 0")
    shop.ask()
    runner = shop.trainer()
    await shop.until(runner, lambda: shop.job.status == "succeeded")
    assert shop.registry.statuses()[-2:] == ["model", "succeeded"]
    assert (shop.job.progress, shop.job.dataset, shop.job.error) == (1.0, "d-1", "")
    assert shop.job.model_id == shop.registry.written[-2].model_id
    assert runner.job is None
    assert shop.leases.owners == {}, "the lease is given back"


async def test_a_job_that_cannot_be_done_fails_with_its_reason(shop, monkeypatch):
    script(monkeypatch, "error=no_such_data 2")
    shop.ask()
    await shop.until(shop.trainer(), lambda: shop.job.status == "failed")
    assert shop.job.error == "no_such_data"


async def test_a_process_that_ends_without_a_word_is_quoted(shop, monkeypatch):
    script(monkeypatch, "noise 3")
    shop.ask()
    await shop.until(shop.trainer(), lambda: shop.job.status == "failed")
    assert shop.job.error.startswith("ended with 3: ")
    assert "a library says something" in shop.job.error


async def test_a_job_whose_process_dies_is_tried_again_and_then_given_up(shop, monkeypatch):
    script(monkeypatch, "die")
    shop.ask()
    runner = shop.trainer()
    await shop.until(runner, lambda: shop.job.status == "failed")
    assert shop.registry.statuses().count("leased") == 2
    assert shop.job.error.startswith("given up: 2 workers died on it; the last words: ")


async def test_a_job_that_lacks_something_is_tried_until_it_is_there(shop, monkeypatch):
    script(monkeypatch, "error=broker_away 75")
    shop.ask()
    runner = shop.trainer()
    await shop.until(runner, lambda: shop.registry.statuses().count("leased") == 3)
    assert shop.job.error == "broker_away"
    assert shop.job.status != "failed"


async def test_a_job_waits_for_room_on_the_disk_and_that_counts_no_attempt(shop):
    shop.ask()
    runner = shop.trainer()
    folder = folder_of(shop.settings, "j1")
    folder.mkdir(parents=True)
    (folder / f".{TASK}.partial").symlink_to("/dev/full")
    with pytest.raises(TransientError, match="No space left on device"):
        await runner.tick()
    assert (shop.job.status, shop.job.attempt, shop.leases.owners) == ("requested", 0, {})


async def test_progress_is_published_at_once_for_a_new_stage_and_else_now_and_then(shop, monkeypatch):
    script(monkeypatch, "dataset=0.25 wait")
    shop.ask()
    runner = shop.trainer()
    await shop.until(runner, lambda: shop.job.stage == "dataset")
    assert (shop.job.status, shop.job.progress) == ("running", 0.25)
    run = runner._run
    run.read_line('{"stage": "dataset", "share": 0.5}')
    await runner.tick()
    assert shop.job.progress == 0.25, "it was said a moment ago"
    shop.clock.moment += PUBLISH_EVERY
    await runner.tick()
    assert shop.job.progress == 0.5
    run.read_line("not for us")
    run.read_line('{"stage": "training", "share": 1.5}')
    await runner.tick()
    assert (shop.job.stage, shop.job.progress) == ("training", 1.0), "a share is never above the whole"
    before = len(shop.registry.written)
    shop.clock.moment += PUBLISH_EVERY
    await runner.tick()
    assert len(shop.registry.written) == before, "nothing new is not published"


async def test_a_worker_that_lost_its_lease_ends_the_process_and_says_nothing(shop):
    shop.ask()
    runner = shop.trainer()
    await runner.tick()
    process = runner._run.process
    [name] = shop.leases.owners
    await shop.leases.expire(name)
    await shop.leases.lease(name, "another").acquire()
    before = list(shop.registry.written)
    await runner.tick()
    assert runner.job is None
    assert not process.running
    assert shop.registry.written == before


async def test_while_redis_is_away_a_lease_is_held_for_as_long_as_it_lasts_and_no_longer(shop):
    shop.ask()
    runner = shop.trainer()
    await runner.tick()
    process = runner._run.process
    shop.leases.away = True
    shop.clock.moment += timedelta(seconds=8)
    with pytest.raises(TransientError):
        await runner.tick()
    assert process.running
    shop.clock.moment += timedelta(seconds=1)
    await runner.tick()
    assert runner.job is None
    assert not process.running


async def test_a_worker_that_stops_hands_its_job_back_and_costs_it_no_attempt(shop):
    shop.ask()
    runner = shop.trainer()
    await runner.tick()
    await runner.stop()
    assert (shop.job.status, shop.job.attempt, shop.job.worker) == ("requested", 0, "")
    assert shop.leases.owners == {}
    await shop.trainer("other").tick()
    assert shop.job.status == "leased"


async def test_what_is_refused_before_it_begins_fails_and_gives_the_lease_back(shop):
    shop.inputs.failure = ConfigurationError("there is no model 'm-9'")
    shop.ask()
    await shop.trainer().tick()
    assert (shop.job.status, shop.job.error) == ("failed", "there is no model 'm-9'")
    shop.ask(options={"epoch": 3})
    shop.inputs.failure = None
    await shop.trainer().tick()
    assert "recipe: epoch" in shop.job.error
    assert shop.leases.owners == {}


async def test_a_job_that_cannot_begin_now_waits_for_whoever_is_next(shop):
    shop.inputs.failure = TransientError("no broker answers")
    shop.ask()
    runner = shop.trainer()
    with pytest.raises(TransientError):
        await runner.tick()
    assert runner.job is None
    assert (shop.job.status, shop.job.attempt, shop.leases.owners) == ("requested", 0, {})
    shop.inputs.failure = None
    await shop.trainer("other").tick()
    assert shop.job.status == "leased"


async def test_a_needless_job_is_said_to_be_so(shop):
    shop.ask(job_id="monday", reason="periodic")
    shop.ask(job_id="tuesday", reason="periodic", updated_at=NOON + timedelta(hours=1))
    await shop.trainer().tick()
    assert shop.registry.jobs()["monday"].status == "superseded"
    assert shop.registry.jobs()["tuesday"].status == "leased"
