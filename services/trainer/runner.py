"""Does jobs: one at a time, in a process of its own, under a lease that says that its worker lives.

A job is taken, and taken again after its worker died, by whoever gets its lease. All that counts is on the
shared disk under names that follow from the job's id, whole or not at all, so a job that is done again is
the same job, and ends at once where it had ended before. The process ends with its worker, and holds a lock
on the job's folder: a worker that only seemed dead cannot write beside its successor.
"""

import asyncio
import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from signal import SIGKILL

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis

from schemas.control import Model, TrainingJob
from services.trainer.basis import Basis
from services.trainer.domain.job import again, superseded, to_do
from services.trainer.jobs import JobBook
from services.trainer.settings import Settings, recipe_of
from services.trainer.task import LOG, RESULT, TASK, Exit, Said, Task, folder_of
from shared.directories import replace_file
from shared.errors import ConfigurationError, TransientError
from shared.infrastructure.process import Process
from shared.leases import Lease
from shared.periodic import Every
from shared.ports import Clock

LOOK_EVERY = timedelta(seconds=1)
SAY_EVERY = timedelta(seconds=3)
"""How often progress is published at most; a new stage is said at once."""
STOPPING = timedelta(seconds=5)
log = structlog.get_logger()


@dataclass
class _Run:
    """A job in hand."""

    job: TrainingJob
    lease: Lease
    folder: Path
    held_until: datetime
    said: Said = field(default_factory=Said)
    published_at: datetime | None = None
    process: Process = field(init=False)

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", "services.trainer.run", str(self.folder)]
        self.process = Process(command, log=self.folder / LOG, death_signal=SIGKILL, lines=self.hear)

    def has_news(self, now: datetime) -> bool:
        """Whether it is time to publish how far it is."""
        if self.published_at is None or now - self.published_at >= SAY_EVERY:
            return True
        return self.said.stage != self.job.stage

    def hear(self, line: str) -> None:
        """Take a line of the process (called by the thread that reads them)."""
        try:
            self.said = Said.model_validate_json(line)
        except ValidationError:
            return  # a library's own output; it is in the log


class JobRunner:
    """The part of a trainer that takes jobs and does them."""

    def __init__(
        self, settings: Settings, book: JobBook, basis: Basis, *, redis: Redis, clock: Clock
    ) -> None:
        self._settings = settings
        self._book = book
        self._basis = basis
        self._redis = redis
        self._clock = clock
        self._run: _Run | None = None
        self._every = Every("jobs", LOOK_EVERY, self.look)

    async def start(self) -> None:
        """Begin to look for jobs."""
        await self._every.start()

    async def stop(self) -> None:
        """End the job in hand where it is, and leave it to the next worker, which goes on from there."""
        await self._every.stop()
        run, self._run = self._run, None
        if run is not None:
            await asyncio.to_thread(run.process.stop, within=STOPPING)
            await self._book.publish(again(run.job, now=self._clock.now()))
            await run.lease.release()

    async def wait(self) -> None:
        """Raise what made it fail."""
        await self._every.wait()

    @property
    def job(self) -> TrainingJob | None:
        """The job in hand."""
        return self._run.job if self._run else None

    async def look(self) -> None:
        """Attend to the job in hand, or take one."""
        if self._run is not None:
            await self._attend(self._run)
            return
        jobs = self._book.jobs().values()
        for job in superseded(jobs):
            await self._publish(job, status="superseded")
        for job in to_do(self._book.jobs().values()):
            if await self._take(job):
                return

    async def _take(self, job: TrainingJob) -> bool:
        """Take the job, unless another worker has it; it may end at once."""
        name = f"{self._settings.namespace}:trainer:{job.job_id}"
        lease = Lease(self._redis, name, owner=self._settings.member, ttl=self._settings.trainer.lease)
        if await lease.acquire(seen_epoch=job.attempt) is None:
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
        base, generation = await self._basis.of(job)
        job = await self._publish(
            job,
            status="leased",
            data=await self._basis.ranges(job),
            attempt=job.attempt + 1,
            worker=self._settings.member,
        )
        folder = folder_of(self._settings, job.job_id)
        folder.mkdir(parents=True, exist_ok=True)
        task = Task(job=job, base=base, generation=generation)
        replace_file(folder / TASK, task.model_dump_json(indent=2).encode())
        run = _Run(job, lease, folder, self._clock.now() + self._settings.trainer.lease)
        run.process.launch()
        self._run = run
        log.info("job.taken", job=job.job_id, attempt=job.attempt, folder=str(folder))

    async def _attend(self, run: _Run) -> None:
        """Hold the lease; publish how far the job is, or how it ended."""
        now = self._clock.now()
        if not await self._held(run, now):
            return
        code = run.process.exit_code
        if code is None:
            if run.has_news(now):
                await self._say(run, now)
            return
        await asyncio.to_thread(run.process.stop)  # reads its output to the end
        await self._ended(run, code)
        self._run = None

    async def _held(self, run: _Run, now: datetime) -> bool:
        """Renew the lease; when it is lost, or may be, the process is ended at once."""
        try:
            if held := await run.lease.renew():
                run.held_until = now + self._settings.trainer.lease
        except TransientError:
            if now < run.held_until:
                raise
            held = False
        if not held:
            log.warning("job.lost", job=run.job.job_id)
            run.process.kill()
            self._run = None
        return held

    async def _say(self, run: _Run, now: datetime) -> None:
        share = min(1.0, max(0.0, run.said.share))
        if (run.said.stage, share) != (run.job.stage, run.job.progress) or run.job.status != "running":
            run.job = await self._publish(run.job, status="running", stage=run.said.stage, progress=share)
        run.published_at = now

    async def _ended(self, run: _Run, code: int) -> None:
        """Publish what came out: the model first, so that who reads of the job finds it."""
        if code == Exit.DONE:
            model = Model.decode((run.folder / RESULT).read_bytes())
            await self._book.publish_model(model)
            await self._end(
                run.job,
                run.lease,
                status="succeeded",
                model_id=model.model_id,
                dataset=model.dataset,
                progress=1.0,
            )
            return
        error = run.said.error or f"ended with {code}: {run.process.tail(3)}"
        if code < 0 or code == Exit.LATER:  # killed, or something was away: it is tried again
            await self._end(run.job, run.lease, status="requested", error=error)
        else:
            await self._end(run.job, run.lease, status="failed", error=error)

    async def _end(self, job: TrainingJob, lease: Lease, **changes: object) -> None:
        ended = await self._publish(job, **changes)
        await lease.release()
        log.info("job.ended", job=job.job_id, status=ended.status, model=ended.model_id, error=ended.error)

    async def _publish(self, job: TrainingJob, **changes: object) -> TrainingJob:
        changed = job.model_copy(update={**changes, "updated_at": self._clock.now()})
        await self._book.publish(changed)
        return changed
