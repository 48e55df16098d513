"""Publishes what each session of the trial that runs said, once its window has closed; the leader does."""

from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis

from schemas.base import Message, milliseconds
from schemas.judgements import Outcome
from schemas.trials import TrialSession
from services.rollout.domain.sessions import SessionFold
from services.rollout.domain.standing import TrialSessions, TrialStanding
from services.rollout.settings import Settings
from services.rollout.trials import metrics
from services.rollout.trials.join_progress import JoinProgress
from shared.generations.rollout_log import RolloutLog
from shared.generations.trial import Trial
from shared.kafka.client import require_topics
from shared.kafka.topic_reader import TopicReader
from shared.ports import Clock, Publisher, outgoing
from shared.records import Record

M = TypeVar("M", bound=Message)
log = structlog.get_logger()

BEFORE = timedelta(hours=1)
"""Read from so long before a trial began: clocks differ, and what is of no trial is passed over."""
AT_ONCE = 500


async def read_standing(settings: Settings, trial: Trial) -> TrialStanding:
    """Return how a trial stands now; raises `TransientError` when the broker is away."""
    sessions = TrialSessions(trial)
    async with TopicReader(settings, [TrialSession.topic]) as reader:
        await reader.begin_at(milliseconds(trial.began_at - BEFORE))
        async for record in reader.news():
            for session in _decoded(TrialSession, record):
                sessions.take(session)
    return sessions.standing()


@dataclass
class _Running:
    """The trial that runs, as it is read."""

    sessions: TrialSessions
    fold: SessionFold
    published: TopicReader
    outcomes: TopicReader
    progress: JoinProgress
    opened: AsyncExitStack
    is_read: bool = False
    """Whether everything there was has been read once."""

    async def read(self) -> None:
        """Read what is new; what was published first, so that nothing of a closed session is kept."""
        async for record in self.published.news():
            for session in _decoded(TrialSession, record):
                if self.sessions.take(session):
                    self.fold.close([session.session])
        async for record in self.outcomes.news():
            for outcome in _decoded(Outcome, record):
                self.fold.take(outcome)
        metrics.open_sessions.set(self.fold.open)
        self.is_read = True


class SessionScorer:
    """Follows the trial that runs; nothing that it remembers is needed by the next leader."""

    def __init__(
        self, settings: Settings, rollouts: RolloutLog, *, redis: Redis, publisher: Publisher, clock: Clock
    ) -> None:
        self._settings = settings
        self._rollouts = rollouts
        self._redis = redis
        self._publisher = publisher
        self._clock = clock
        self._running: _Running | None = None

    async def start(self) -> None:
        """Nothing to prepare: it connects when a trial runs."""

    async def stop(self) -> None:
        """Disconnect."""
        running, self._running = self._running, None
        if running is not None:
            await running.opened.aclose()

    def standing(self, trial: Trial, *, over: bool = False) -> TrialStanding | None:
        """Return how the trial stands by what this process has read; None: it has not read it yet."""
        running = self._running
        if running is None or not running.is_read or running.sessions.trial.name != trial.name:
            return None
        return running.sessions.standing(over=over)

    async def tick(self, epoch: int) -> None:  # noqa: ARG002 - of two of one session the first in the log counts
        """Read what is new, and publish the sessions whose window has closed."""
        trial = self._rollouts.ledger.followed_trial
        if self._running is not None and (trial is None or trial.name != self._running.sessions.trial.name):
            await self.stop()
        if trial is None:
            return
        if self._running is None:
            self._running = await self._open(trial)
        running = self._running
        await running.read()
        if trial.end is not None or (joined := await running.progress.look()) is None:
            return
        if await self._has_more_partitions(running):
            await self.stop()  # and read all of them from the beginning of the trial
            return
        await running.read()
        await self._publish(running, running.fold.ended(joined - self._settings.rollout.trials.margin))

    async def _has_more_partitions(self, running: _Running) -> bool:
        counts = await require_topics(self._settings, [Outcome.topic])
        return counts[Outcome.topic] != len(running.outcomes.beginnings)

    async def _publish(self, running: _Running, sessions: list[TrialSession]) -> None:
        for start in range(0, len(sessions), AT_ONCE):
            some = sessions[start : start + AT_ONCE]
            await self._publisher.publish([outgoing(session) for session in some])
            running.fold.close(session.session for session in some)
            for session in some:
                metrics.sessions.labels(session.arm).inc()
                metrics.acted.labels(session.arm).inc(session.acted > 0)

    async def _open(self, trial: Trial) -> _Running:
        await require_topics(self._settings, [TrialSession.topic, Outcome.topic])
        async with AsyncExitStack() as opening:
            published, outcomes = [
                await opening.enter_async_context(TopicReader(self._settings, [topic]))
                for topic in (TrialSession.topic, Outcome.topic)
            ]
            for reader in (published, outcomes):
                await reader.begin_at(milliseconds(trial.began_at - BEFORE))
            progress = JoinProgress(self._settings, redis=self._redis, clock=self._clock)
            await opening.enter_async_context(progress)
            log.info("trial.followed", trial=trial.name, generation=trial.candidate)
            return _Running(
                sessions=TrialSessions(trial),
                fold=SessionFold(trial, weights_of(trial, self._settings)),
                published=published,
                outcomes=outcomes,
                progress=progress,
                opened=opening.pop_all(),
            )


def _decoded(kind: type[M], record: Record) -> Iterator[M]:
    """Yield the message, if it is one: who else reads the topic puts aside what is none."""
    try:
        yield kind.decode(record.value or b"")
    except ValidationError as error:
        log.warning(
            "message.invalid", partition=str(record.partition), offset=record.offset, error=str(error)
        )


def weights_of(trial: Trial, settings: Settings) -> Mapping[str, float]:
    """Return what each action is worth: by the terms, or by the judgements' objective."""
    return trial.terms.objective or settings.judgements.objective
