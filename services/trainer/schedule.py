"""When a job is asked for without anybody asking: by the clock, and by the number of new judgements."""

from datetime import UTC, datetime

import structlog
from croniter import croniter

from schemas.control import OffsetRange, TrainingJob
from services.trainer import sources
from services.trainer.domain.job import enough, slot
from services.trainer.jobs import JobBook
from services.trainer.settings import Settings
from shared.ports import Clock

log = structlog.get_logger()


class Schedule:
    """Asks for jobs. Several trainers ask for the same one: a job's id follows from why it is due."""

    def __init__(self, settings: Settings, book: JobBook, *, clock: Clock) -> None:
        self._settings = settings
        self._book = book
        self._clock = clock
        self._since = clock.now()

    async def by_clock(self) -> None:
        """Ask for the job that the crontab makes due."""
        crontab = self._settings.trainer.crontab
        if not crontab:
            return
        now = self._clock.now()
        last: datetime = croniter(crontab, now).get_prev(datetime)
        job_id = slot(last.astimezone(UTC), self._book.jobs().values(), since=self._since)
        if job_id is not None:
            await self._request(job_id, "periodic")

    async def by_volume(self) -> None:
        """Ask for the job that enough new judgements make due."""
        volume = self._settings.trainer.volume
        if not volume:
            return
        ends: tuple[OffsetRange, ...] = await sources.everything(self._settings)
        job_id = enough(ends, self._book.jobs().values(), volume=volume)
        if job_id is not None:
            await self._request(job_id, "volume")

    async def _request(self, job_id: str, reason: str) -> None:
        log.info("job.requested", job=job_id, reason=reason)
        await self._book.publish(
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
