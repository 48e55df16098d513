"""When a job is asked for without anybody asking: by the clock, and by the number of new judgements."""

from datetime import UTC, datetime

import structlog
from croniter import croniter

from schemas.control import OffsetRange, TrainingJob
from services.trainer.dataset import sources
from services.trainer.jobs.domain.job import due_by_clock, due_by_volume
from services.trainer.jobs.registry import JobRegistry
from services.trainer.jobs.settings import Settings
from shared.ports import Clock

log = structlog.get_logger()


class Schedule:
    """Asks for jobs. Several trainers ask for the same one: a job's id follows from why it is due."""

    def __init__(self, settings: Settings, registry: JobRegistry, *, clock: Clock) -> None:
        self._settings = settings
        self._registry = registry
        self._clock = clock
        self._started_at = clock.now()

    async def by_clock(self) -> None:
        """Ask for the job that the crontab makes due."""
        crontab = self._settings.trainer.crontab
        if not crontab:
            return
        now = self._clock.now()
        last: datetime = croniter(crontab, now).get_prev(datetime)
        job_id = due_by_clock(last.astimezone(UTC), self._registry.jobs().values(), since=self._started_at)
        if job_id is not None:
            await self._request(job_id, "periodic")

    async def by_volume(self) -> None:
        """Ask for the job that enough new judgements make due."""
        volume = self._settings.trainer.volume
        if not volume:
            return
        ends: tuple[OffsetRange, ...] = await sources.present_ranges(self._settings)
        job_id = due_by_volume(ends, self._registry.jobs().values(), volume=volume)
        if job_id is not None:
            await self._request(job_id, "volume")

    async def _request(self, job_id: str, reason: str) -> None:
        log.info("job.requested", job=job_id, reason=reason)
        await self._registry.publish(
            TrainingJob.model_validate(
                {
                    "job_id": job_id,
                    "status": "requested",
                    "reason": reason,
                    "base_model": "",
                    "updated_at": self._clock.now(),
                }
            )
        )
