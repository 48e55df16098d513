"""Which training job is done next, which is no longer needed, and when a new one is due."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from schemas.control import OffsetRange, TrainingJob
from schemas.judgements import Judgement

WAITING = ("requested", "leased", "running")
ENDED = ("succeeded", "failed", "superseded")


def waiting_jobs(jobs: Iterable[TrainingJob]) -> list[TrainingJob]:
    """Return the jobs that wait for a worker, those begun first (theirs may have died), then by age.

    Whether the worker of one that is `running` lives is for its lease to say.
    """
    waiting = [job for job in jobs if job.status in WAITING]
    return sorted(waiting, key=lambda job: (job.status == "requested", job.updated_at, job.job_id))


def superseded(jobs: Iterable[TrainingJob]) -> list[TrainingJob]:
    """Return the requested jobs that a newer one makes needless.

    Of two that nobody asked for by hand and that differ in nothing but their time, the newer sees all that
    the older would.
    """
    newest: dict[object, TrainingJob] = {}
    needless = []
    for job in waiting_jobs(jobs):
        if job.status != "requested" or job.reason == "manual" or job.data:
            continue
        purpose = (job.kind, job.base_model, tuple(sorted(job.options.items())))
        if purpose in newest:
            needless.append(newest[purpose])
        newest[purpose] = job
    return needless


def due_by_clock(last: datetime, jobs: Iterable[TrainingJob], *, since: datetime) -> str | None:
    """Return the id of the periodic job that is due, if one is; `last` is the schedule's newest moment.

    A moment that passed while no worker ran is made up for, but none before the first job, or before `since`
    (when this worker started) where there is none.
    """
    by_id = {job.job_id: job for job in jobs}
    job_id = f"periodic-{last:%Y%m%dT%H%MZ}"
    reached = max((job.updated_at for job in by_id.values()), default=since)
    return job_id if last > reached and job_id not in by_id else None


def due_by_volume(ends: Sequence[OffsetRange], jobs: Iterable[TrainingJob], *, volume: int) -> str | None:
    """Return the id of the job that the number of new judgements makes due, if it does.

    `ends` says how far the judgements go. Counted is what came after the newest job's data; where that ended
    is the id, so several workers ask for the same.
    """
    jobs = tuple(jobs)
    if any(job.status in WAITING for job in jobs):
        return None
    last = max((job for job in jobs if job.data), key=lambda job: job.updated_at, default=None)
    used = _judgement_ends(last.data) if last is not None else {}
    new = sum(
        max(0, offsets.end - used.get(offsets.partition, offsets.start))
        for offsets in ends
        if offsets.topic == Judgement.topic
    )
    return f"volume-from-{sum(used.values())}" if new >= volume else None


def _judgement_ends(data: Iterable[OffsetRange]) -> Mapping[int, int]:
    """Return where the ranges of judgements end, by partition."""
    return {offsets.partition: offsets.end for offsets in data if offsets.topic == Judgement.topic}


def handed_back(job: TrainingJob, *, now: datetime) -> TrainingJob:
    """Return the job as it waits for the next worker, after one that was told to stop: not its fault."""
    return job.model_copy(
        update={"status": "requested", "attempt": max(0, job.attempt - 1), "worker": "", "updated_at": now}
    )
