"""Jobs that nobody asks for: by the clock and by volume, once however many trainers there are."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.control import OffsetRange, TrainingJob
from schemas.judgements import Judgement
from services.trainer.dataset import sources
from services.trainer.jobs.schedule import Schedule
from services.trainer.jobs.settings import Settings, TrainerSettings

SUNDAY = datetime(2026, 11, 22, 3, tzinfo=UTC)


class Clock:
    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


class Registry:
    def __init__(self) -> None:
        self.written: list[TrainingJob] = []

    def jobs(self) -> dict[str, TrainingJob]:
        return {job.job_id: job for job in self.written}

    async def publish(self, job: TrainingJob) -> None:
        self.written.append(job)


def schedules(registry: Registry, clock: Clock, count: int = 1, **trainer: object) -> list[Schedule]:
    settings = Settings(trainer=TrainerSettings(**trainer))
    return [Schedule(settings, registry, clock=clock) for _ in range(count)]


async def test_a_crontab_asks_once_for_all_trainers() -> None:
    registry, clock = Registry(), Clock(SUNDAY - timedelta(hours=1))
    both = schedules(registry, clock, 2, crontab="0 3 * * 0")
    for schedule in both:
        await schedule.by_clock()
    assert registry.written == [], "what was due before they began is not made up for"
    clock.moment = SUNDAY + timedelta(seconds=2)
    for schedule in (*both, *both):
        await schedule.by_clock()
    assert [(job.job_id, job.reason, job.status) for job in registry.written] == [
        ("periodic-20261122T0300Z", "periodic", "requested")
    ]
    assert registry.written[0].updated_at == clock.moment


async def test_without_a_crontab_or_a_volume_nothing_is_asked_for() -> None:
    registry = Registry()
    (schedule,) = schedules(registry, Clock(SUNDAY))
    await schedule.by_clock()
    await schedule.by_volume()
    assert registry.written == []


async def test_new_judgements_ask_when_they_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    end = 99

    async def present_ranges(_: Settings) -> tuple[OffsetRange, ...]:
        return (OffsetRange(topic=Judgement.topic, partition=0, start=0, end=end),)

    monkeypatch.setattr(sources, "present_ranges", present_ranges)
    registry = Registry()
    both = schedules(registry, Clock(SUNDAY), 2, volume=100)
    await both[0].by_volume()
    assert registry.written == []
    end = 100
    for schedule in both:
        await schedule.by_volume()
    assert [(job.job_id, job.reason) for job in registry.written] == [("volume-from-0", "volume")]
