"""Which job is done next, which is needless, and when one is due."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from schemas.control import OffsetRange, TrainingJob
from schemas.judgements import Judgement
from services.trainer.jobs.domain.job import (
    due_by_clock,
    due_by_volume,
    handed_back,
    superseded,
    waiting_jobs,
)

START = datetime(2026, 11, 21, tzinfo=UTC)


def job(name: str, minute: int = 0, **changes: object) -> TrainingJob:
    given = {"status": "requested", "reason": "periodic", "base_model": "", **changes}
    return TrainingJob.model_validate(
        {"job_id": name, "updated_at": START + timedelta(minutes=minute), **given}
    )


def judged(*ends: int) -> tuple[OffsetRange, ...]:
    return tuple(
        OffsetRange(topic=Judgement.topic, partition=number, start=0, end=end)
        for number, end in enumerate(ends)
    )


def test_a_job_whose_worker_may_have_died_comes_before_what_was_only_asked_for() -> None:
    jobs = [job("new", 1), job("begun", 5, status="running"), job("old", 0), job("done", status="succeeded")]
    random.Random(1).shuffle(jobs)
    assert [it.job_id for it in waiting_jobs(jobs)] == ["begun", "old", "new"]


def test_of_two_jobs_that_nobody_asked_for_by_hand_the_older_is_needless() -> None:
    jobs = [job("monday", 1), job("tuesday", 2, reason="volume"), job("by-hand", 0, reason="manual")]
    assert [it.job_id for it in superseded(jobs)] == ["monday"]


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "reranker"},
        {"options": {"epochs": 9}},
        {"base_model": "m-1"},
        {"status": "running"},
        {"data": judged(9)},
    ],
)
def test_a_job_that_differs_or_runs_is_not_needless(other: dict[str, object]) -> None:
    assert superseded([job("monday", 1, **other), job("tuesday", 2)]) == []


def test_a_periodic_job_is_asked_for_once_and_made_up_for_after_a_pause() -> None:
    last = START + timedelta(minutes=30)
    before = [job("earlier", 0, status="failed")]
    assert due_by_clock(last, before, since=last + timedelta(days=1)) == "periodic-20261121T0030Z"
    assert due_by_clock(last, [*before, job("periodic-20261121T0030Z", 31)], since=START) is None


def test_a_schedule_does_not_make_up_for_what_was_before_the_first_worker() -> None:
    assert due_by_clock(START, [], since=START + timedelta(minutes=1)) is None
    assert due_by_clock(START + timedelta(minutes=2), [], since=START + timedelta(minutes=1)) is not None


def test_enough_new_judgements_ask_for_one_job_after_the_last() -> None:
    assert due_by_volume(judged(60, 39), [], volume=100) is None
    assert due_by_volume(judged(60, 40), [], volume=100) == "volume-from-0"
    first = job("volume-from-0", 1, reason="volume", data=judged(60, 40), status="succeeded")
    assert due_by_volume(judged(160, 40), [first], volume=101) is None
    assert due_by_volume(judged(160, 41), [first], volume=101) == "volume-from-100"


def test_nothing_is_asked_for_by_volume_while_a_job_waits() -> None:
    assert due_by_volume(judged(1000), [job("waiting")], volume=1) is None


def test_a_worker_that_is_told_to_stop_costs_the_job_no_attempt() -> None:
    left = handed_back(job("begun", status="running", attempt=1, worker="w"), now=START)
    assert (left.status, left.attempt, left.worker) == ("requested", 0, "")
