"""The sessions of every trial against a recount of queries and events, and its end against their log."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pydantic import ValidationError

from schemas.base import EPOCH
from schemas.control import TrialEnd
from schemas.judgements import Outcome
from schemas.topics import repartition_topic
from schemas.trials import TrialSession
from services.judgements.domain.join import encode_outcome
from services.judgements.domain.recount import outcomes
from services.judgements.domain.rules import JoinRules
from services.judgements.join import LOGS
from services.judgements.settings import Settings
from services.lab.verification.judgements import SOURCES, Shopping
from services.lab.verification.verdict import VerificationResult, settled, strangers
from services.rollout.domain.sessions import SessionFold
from services.rollout.domain.trials.decision import decide
from shared.clock import SystemClock
from shared.generations.rollout_log import read_rollouts
from shared.generations.trial import Trial
from shared.kafka.topic_reader import TopicReader
from shared.ports import Clock
from shared.records import Record
from shared.schema_registry.deserializer import SchemaDeserializer

BY_SESSIONS: frozenset[TrialEnd] = frozenset({"better", "worse", "no difference"})
"""Ends that only sessions bring; a message, another live generation or the days may bring the others."""


@dataclass(slots=True)
class PublishedSessions:
    """What was published, in the order of its log."""

    sessions: list[TrialSession] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    """Where messages lie that cannot be read."""

    def take(self, record: Record) -> None:
        """Take one record of the topic."""
        try:
            self.sessions.append(TrialSession.decode(record.value or b""))
        except ValidationError:
            self.strange.append(f"{record.partition} @ {record.offset}")


async def verify_trials(
    settings: Settings, wait: timedelta, clock: Clock | None = None
) -> VerificationResult:
    """Compare every session with the recount, and each end; raises `TransientError` without a broker."""
    clock = clock or SystemClock()
    schemas = SchemaDeserializer.of(settings.registry, clock=clock)
    topics = [*LOGS, TrialSession.topic]
    async with TopicReader(settings, topics, damaged=SOURCES) as reader, aclosing(schemas):
        routed = repartition_topic(SOURCES[0])
        shopping = Shopping(sum(at.topic == routed for at in reader.beginnings) or settings.partitions)
        published = PublishedSessions()

        async def look() -> VerificationResult:
            async for record in reader.news():
                if record.partition.topic == TrialSession.topic:
                    published.take(record)
                else:
                    shopping.take(record, await schemas.schemas_of([record]))
            state = (await read_rollouts(settings)).generations
            trials = (*state.past, *([] if state.trial is None else [state.trial]))
            gone = [at for at, begin in reader.beginnings.items() if at.topic in LOGS and begin > 0]
            since = max((shopping.oldest.get(at, clock.now()) for at in gone), default=EPOCH)
            provable = [trial for trial in trials if trial.began_at > since]
            verdict = compare(
                provable, published, shopping, rules=settings.judgements.rules(), now=clock.now()
            )
            old = [
                f"{trial.name} began before what is left of queries and events"
                for trial in trials
                if trial not in provable
            ]
            return replace(verdict, notes=[*verdict.notes, *old])

        return await settled(look, wait)


def compare(
    trials: Sequence[Trial],
    published: PublishedSessions,
    shopping: Shopping,
    *,
    rules: JoinRules,
    now: datetime,
) -> VerificationResult:
    """Say where sessions, or the ends of these trials, are not what queries and events give."""
    recounts = recounted(trials, shopping, rules, now)
    faults: list[str] = []
    for trial in trials:
        log = [session for session in published.sessions if session.trial == trial.name]
        faults += _sessions(trial, log, recounts[trial.name])
        faults += _end(trial, log)
    figures = {
        "trials": len(trials),
        "sessions": len({session.key() for session in published.sessions}),
        "recounted": sum(map(len, recounts.values())),
    }
    return VerificationResult(faults, figures, strangers(published.strange))


def recounted(
    trials: Iterable[Trial], shopping: Shopping, rules: JoinRules, now: datetime
) -> dict[str, dict[str, TrialSession]]:
    """Return each trial's sessions whose window is over, by name: without a stream, a clock or an owner."""
    folds = {trial.name: SessionFold(trial, trial.terms.objective) for trial in trials}
    for joined in outcomes(shopping.queries, shopping.events, rules=rules, left_out=Counter()):
        mark = joined.shown.trial
        if mark is not None and mark.trial in folds:
            outcome = Outcome.decode(encode_outcome(joined, incarnation=0, origin=0, sequence=0))
            folds[mark.trial].take(outcome)
    return {name: {session.session: session for session in fold.ended(now)} for name, fold in folds.items()}


def _sessions(
    trial: Trial, log: Sequence[TrialSession], recount: Mapping[str, TrialSession]
) -> Iterable[str]:
    first: dict[str, TrialSession] = {}
    for session in log:
        first.setdefault(session.session, session)
    for name, session in first.items():
        if (counted := recount.get(name)) != session:
            yield f"{trial.name} {name}: published {session}, recounted {counted}"
    latest = max((session.began_at for session in first.values()), default=trial.began_at)
    for name, counted in recount.items():
        if name not in first and counted.began_at < latest:
            yield f"{trial.name} {name}: not published, but later ones were: {counted}"


def _end(trial: Trial, log: Sequence[TrialSession]) -> Iterable[str]:
    decided = decide(log, trial.terms).end
    if trial.end in BY_SESSIONS and trial.end != decided:
        yield f"{trial.name}: ended as {trial.end}, its sessions say {decided}"
