"""Which training job is done next, which is no longer needed, and when a new one is due."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from schemas.control import OffsetRange, TrainingJob
from schemas.judgements import Judgement

WAITING = ("requested", "leased", "running")
ENDED = ("succeeded", "failed", "superseded")


def to_do(jobs: Iterable[TrainingJob]) -> list[TrainingJob]:
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
    for job in to_do(jobs):
        if job.status != "requested" or job.reason == "manual" or job.data:
            continue
        what = (job.kind, job.base_model, tuple(sorted(job.options.items())))
        if what in newest:
            needless.append(newest[what])
        newest[what] = job
    return needless


def slot(last: datetime, jobs: Iterable[TrainingJob], *, since: datetime) -> str | None:
    """Return the id of the periodic job that is due, if one is; `last` is the schedule's newest moment.

    A moment that passed while no worker ran is made up for, but none before the first job, or before `since`
    (when this worker started) where there is none.
    """
    known = {job.job_id: job for job in jobs}
    job_id = f"periodic-{last:%Y%m%dT%H%MZ}"
    reached = max((job.updated_at for job in known.values()), default=since)
    return job_id if last > reached and job_id not in known else None


def enough(ends: Sequence[OffsetRange], jobs: Iterable[TrainingJob], *, volume: int) -> str | None:
    """Return the id of the job that the number of new judgements makes due, if it does.

    `ends` says how far the judgements go. Counted is what came after the newest job's data; where that ended
    is the id, so several workers ask for the same.
    """
    begun = [job for job in jobs if job.data]
    last = max(begun, key=lambda job: job.updated_at, default=None)
    if any(job.status in WAITING for job in jobs):
        return None
    seen: Mapping[int, int] = {}
    if last is not None:
        seen = {it.partition: it.end for it in last.data if it.topic == Judgement.topic}
    new = sum(max(0, it.end - seen.get(it.partition, it.start)) for it in ends if it.topic == Judgement.topic)
    return f"volume-from-{sum(seen.values())}" if new >= volume else None


def again(job: TrainingJob, *, now: datetime) -> TrainingJob:
    """Return the job as it waits for the next worker, after one that was told to stop: not its fault."""
    return job.model_copy(
        update={"status": "requested", "attempt": max(0, job.attempt - 1), "worker": "", "updated_at": now}
    )
