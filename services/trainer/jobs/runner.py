"""Does jobs: one at a time, in a process of its own, under a lease that says that its worker lives.

A job is taken, and taken again after its worker died, by whoever gets its lease. All that counts is on the
shared disk under names that follow from the job's id, whole or not at all, so a job that is done again is
the same job, and ends at once where it had ended before. The process ends with its worker, and holds a lock
on the job's folder: a worker that only seemed dead cannot write beside its successor.
"""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from signal import SIGKILL

import structlog
from pydantic import ValidationError

from schemas.control import Model, TrainingJob
from services.trainer.jobs.domain.exit import Exit, status_after
from services.trainer.jobs.domain.job import handed_back, superseded, waiting_jobs
from services.trainer.jobs.inputs import JobInputs
from services.trainer.jobs.registry import JobRegistry
from services.trainer.jobs.settings import Settings, recipe_of
from services.trainer.jobs.task import LOG, RESULT, TASK, ProgressMessage, Task, folder_of
from shared.cluster.lease import Lease
from shared.directories import replace_file
from shared.disk import writing
from shared.errors import ConfigurationError, TransientError
from shared.infrastructure.process import Process
from shared.ports import Clock
from shared.process.periodic import Every

PROGRAM = "services.trainer.jobs.run"
TICK_EVERY = timedelta(seconds=1)
PUBLISH_EVERY = timedelta(seconds=3)
"""How often progress is published at most; a new stage is published at once."""
STOP_WITHIN = timedelta(seconds=5)
Leases = Callable[[str], Lease]
"""Gives this worker's lease of a name."""
log = structlog.get_logger()


@dataclass
class _Run:
    """A job in hand, and the process that does it."""

    job: TrainingJob
    lease: Lease
    folder: Path
    lease_until: datetime
    program: str
    progress: ProgressMessage = field(default_factory=ProgressMessage)
    published_at: datetime | None = None
    process: Process = field(init=False)

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", self.program, str(self.folder)]
        self.process = Process(command, log=self.folder / LOG, death_signal=SIGKILL, lines=self.read_line)

    def has_news(self, now: datetime) -> bool:
        """Whether it is time to publish the progress."""
        if self.published_at is None or now - self.published_at >= PUBLISH_EVERY:
            return True
        return self.progress.stage != self.job.stage

    def read_line(self, line: str) -> None:
        """Take a line of the process (called by the thread that reads them)."""
        try:
            self.progress = ProgressMessage.model_validate_json(line)
        except ValidationError:
            return  # a library's own output; it is in the log


class JobRunner:
    """The part of a trainer that takes jobs and does them, each by a process that runs `program`."""

    def __init__(  # noqa: PLR0913 - a worker's own parts, named by its caller
        self,
        settings: Settings,
        registry: JobRegistry,
        inputs: JobInputs,
        *,
        leases: Leases,
        clock: Clock,
        program: str = PROGRAM,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._inputs = inputs
        self._leases = leases
        self._clock = clock
        self._program = program
        self._run: _Run | None = None
        self._every = Every("jobs", TICK_EVERY, self.tick)

    async def start(self) -> None:
        """Begin to look for jobs."""
        await self._every.start()

    async def stop(self) -> None:
        """End the job in hand where it is, and leave it to the next worker, which goes on from there."""
        await self._every.stop()
        run, self._run = self._run, None
        if run is not None:
            await asyncio.to_thread(run.process.stop, within=STOP_WITHIN)
            await self._registry.publish(handed_back(run.job, now=self._clock.now()))
            await run.lease.release()

    async def wait(self) -> None:
        """Raise what made it fail."""
        await self._every.wait()

    @property
    def job(self) -> TrainingJob | None:
        """The job in hand."""
        return self._run.job if self._run else None

    async def tick(self) -> None:
        """Attend to the job in hand, or take one."""
        if self._run is not None:
            await self._attend(self._run)
            return
        for job in superseded(self._registry.jobs().values()):
            await self._publish(job, status="superseded")
        for job in waiting_jobs(self._registry.jobs().values()):
            if await self._take(job):
                return

    async def _take(self, job: TrainingJob) -> bool:
        """Take the job, unless another worker has it; it may end at once."""
        lease = self._leases(f"{self._settings.namespace}:trainer:{job.job_id}")
        if await lease.acquire() is None:
            return False
        try:
            await self._begin(job, lease)
        except ConfigurationError as error:
            await self._end(job, lease, status="failed", error=str(error))
        except TransientError:
            await lease.release()
            raise
        return True

    async def _begin(self, job: TrainingJob, lease: Lease) -> None:
        if job.attempt >= self._settings.trainer.attempts:
            raise ConfigurationError(
                f"given up: {job.attempt} workers died on it; the last words: {job.error or 'none'}"
            )
        recipe_of(self._settings, job)  # refused before anything is begun
        base, generation = await self._inputs.base_of(job)
        canaries = await self._inputs.canaries()
        leased = self._changed(
            job,
            status="leased",
            data=await self._inputs.ranges_of(job),
            attempt=job.attempt + 1,
            worker=self._settings.member,
        )
        folder = folder_of(self._settings, job.job_id)
        with writing(folder):  # before the attempt counts
            folder.mkdir(parents=True, exist_ok=True)
            task = Task(job=leased, base=base, generation=generation, canaries=canaries)
            replace_file(folder / TASK, task.model_dump_json(indent=2).encode())
        await self._registry.publish(leased)
        lease_until = self._clock.now() + self._settings.trainer.lease
        run = _Run(leased, lease, folder, lease_until, self._program)
        run.process.launch()
        self._run = run
        log.info("job.taken", job=job.job_id, attempt=leased.attempt, folder=str(folder))

    async def _attend(self, run: _Run) -> None:
        """Hold the lease; publish how far the job is, or how it ended."""
        now = self._clock.now()
        if not await self._renew(run, now):
            return
        exit_code = run.process.exit_code
        if exit_code is None:
            if run.has_news(now):
                await self._publish_progress(run, now)
            return
        await asyncio.to_thread(run.process.stop)  # reads its output to the end
        await self._finish(run, exit_code)
        self._run = None

    async def _renew(self, run: _Run, now: datetime) -> bool:
        """Renew the lease; when it is lost, or may be, the process is ended at once.

        While Redis is away the lease is ours until its time is over, and no longer: by then another worker
        may have the job, and its process waits for the folder that ours has locked.
        """
        try:
            if renewed := await run.lease.renew():
                run.lease_until = now + self._settings.trainer.lease
        except TransientError:
            if now < run.lease_until:
                raise
            renewed = False
        if not renewed:
            log.warning("job.lost", job=run.job.job_id)
            run.process.kill()
            self._run = None
        return renewed

    async def _publish_progress(self, run: _Run, now: datetime) -> None:
        stage, share = run.progress.stage, min(1.0, max(0.0, run.progress.share))
        if (stage, share) != (run.job.stage, run.job.progress) or run.job.status != "running":
            run.job = await self._publish(run.job, status="running", stage=stage, progress=share)
        run.published_at = now

    async def _finish(self, run: _Run, exit_code: int) -> None:
        """Publish what came out: the model first, so that who reads of the job finds it."""
        status = status_after(exit_code)
        if status != "succeeded":
            error = run.progress.error or f"ended with {exit_code}: {run.process.tail(3)}"
            is_blameless = exit_code == Exit.RETRY_LATER  # something was away
            attempt = run.job.attempt - is_blameless
            await self._end(run.job, run.lease, status=status, error=error, attempt=attempt)
            return
        model = Model.decode((run.folder / RESULT).read_bytes())
        await self._registry.publish_model(model)
        await self._end(
            run.job,
            run.lease,
            status=status,
            model_id=model.model_id,
            dataset=model.dataset,
            progress=1.0,
        )

    async def _end(self, job: TrainingJob, lease: Lease, **changes: object) -> None:
        ended = await self._publish(job, **changes)
        await lease.release()
        log.info("job.ended", job=job.job_id, status=ended.status, model=ended.model_id, error=ended.error)

    async def _publish(self, job: TrainingJob, **changes: object) -> TrainingJob:
        changed = self._changed(job, **changes)
        await self._registry.publish(changed)
        return changed

    def _changed(self, job: TrainingJob, **changes: object) -> TrainingJob:
        return job.model_copy(update={**changes, "updated_at": self._clock.now()})
