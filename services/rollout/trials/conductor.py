"""Begins trials, says how they stand, and ends them as their sessions say: the controller's part of a trial.

Everything follows from the log: what is not known after a kill is read, or said again, which changes nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from schemas.alerts import Alert
from schemas.control import Rollout, TrialEnd
from services.rollout.domain.announcement import AlertStatus, alert, request_to_promote, sentence
from services.rollout.domain.standing import TrialStanding
from services.rollout.domain.trials.budget import PastTrial, error_of_next
from services.rollout.settings import Settings
from services.rollout.trials import metrics
from shared.generations.rollout_log import RolloutLog
from shared.generations.trial import Trial
from shared.ports import Clock, Publisher, outgoing

LEAST_ERROR = 0.001
"""With less a trial would take more sessions than anybody has."""
WHY: Mapping[TrialEnd, str] = {
    "void": "the live generation changed, or the candidate was retired",
    "stopped": "it was stopped by a message",
}
"""Of the ends that sessions did not bring."""


class Standings(Protocol):
    """Who knows how trials stand."""

    def standing(self, trial: Trial, *, over: bool = False) -> TrialStanding | None:
        """Return how the trial stands; `over`: no more sessions come. None: not known yet."""
        ...


class TrialConductor:
    """Decides what is to be said of trials; the controller writes it down."""

    def __init__(
        self,
        settings: Settings,
        rollouts: RolloutLog,
        standings: Standings,
        *,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._rollouts = rollouts
        self._standings = standings
        self._publisher = publisher
        self._clock = clock
        self._said: tuple[str, int] | None = None
        """The trial and the number of looks that were announced last."""

    def begin(self, request: Rollout) -> Rollout | str:
        """Return the request with the terms that it is granted on; in words, why it is not."""
        now, chosen = self._clock.now(), self._settings.rollout.trials
        error = next_error(self._rollouts.generations.past, now, budget=chosen.errors_a_year)
        if error < LEAST_ERROR:
            return (
                f"the trials of the last 365 days have used up what they may err ({chosen.errors_a_year:.0%}"
                " together): wait, or raise rollout.trials.errors_a_year"
            )
        asked = request.trial or chosen.terms()
        objective = asked.objective or self._settings.judgements.objective
        terms = asked.model_copy(update={"error": error, "objective": objective})
        return request.model_copy(update={"trial": terms, "requested_at": now})

    @property
    def idle(self) -> bool:
        """Whether no trial runs, or is still to be said to be over, or to be followed by a promotion."""
        return self._rollouts.ledger.followed_trial is None and self._preferred() is None

    async def next(self) -> Rollout | None:
        """Announce how trials stand; return what is to be written next on `rollout.v1`, if there is anything.

        What is announced may be announced again after a kill; what is written counts once.
        """
        if (preferred := self._preferred()) is not None:
            return self._promotion(preferred)
        trial = self._rollouts.ledger.followed_trial
        return None if trial is None else await self._follow(trial)

    def _preferred(self) -> Trial | None:
        """Return the trial whose candidate is to be promoted at once, and has not been."""
        ledger = self._rollouts.ledger
        asked = ledger.closed | {request.request_id for request in ledger.pending}
        for trial in self._rollouts.generations.past:
            is_preferred = trial.end == "better" and trial.terms.promote == "at once"
            if is_preferred and _promotion_id(trial) not in asked:
                return trial
        return None

    def _promotion(self, trial: Trial) -> Rollout:
        """Return the request to promote, under an id of the trial: written twice, it is answered once."""
        live = self._rollouts.generations.live
        request = Rollout(
            request_id=_promotion_id(trial),
            action="promote",
            generation=trial.candidate,
            reason=f"shoppers prefer it to {trial.live}",
            requested_at=self._clock.now(),
        )
        if live == trial.live:
            return request
        reason = f"{live} is live meanwhile, and it was tried against {trial.live}"
        return request.model_copy(update={"status": "refused", "reason": reason})

    async def _follow(self, trial: Trial) -> Rollout | None:
        over = self._clock.now() >= trial.began_at + timedelta(days=trial.terms.days)
        standing = self._standings.standing(trial, over=over)
        if standing is None:
            return None
        state = standing.state
        if state.looks:
            look = state.looks[-1]
            for bound, value in (("low", look.low), ("mean", look.mean), ("high", look.high)):
                metrics.interval.labels(bound).set(value)
        if trial.end is not None:
            return await self._end(trial, standing.ended(trial.end, WHY.get(trial.end, "")))
        if state.end is not None:
            return await self._end(trial, standing)
        looks = trial.name, len(state.looks)
        if looks != self._said:
            status: AlertStatus = "updated" if state.looks else "firing"
            await self._announce(alert(trial, standing, now=self._clock.now(), status=status))
            self._said = looks
        return None

    async def _end(self, trial: Trial, ended: TrialStanding) -> Rollout:
        """Announce the end, and return the final answer."""
        now, end = self._clock.now(), ended.state.end
        alerts = [alert(trial, ended, now=now, status="resolved")]
        if end == "better" and trial.terms.promote == "when asked":
            alerts.append(request_to_promote(trial, ended, now))
        await self._announce(*alerts)
        return Rollout(
            request_id=trial.name,
            status="done",
            action="trial",
            generation=trial.candidate,
            trial=trial.terms,
            end=end,
            reason=sentence(ended.state),
            requested_at=now,
        )

    async def _announce(self, *alerts: Alert) -> None:
        await self._publisher.publish([outgoing(message) for message in alerts])


def next_error(past: Iterable[Trial], now: datetime, *, budget: float) -> float:
    """Return what a trial that begins now may err, of what is left of the year's budget."""
    begun = [PastTrial(trial.began_at, trial.terms.error, trial.end == "better") for trial in past]
    return error_of_next(begun, now, budget=budget)


def _promotion_id(trial: Trial) -> str:
    return f"promote-{trial.name}"[:128]
