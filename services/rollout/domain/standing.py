"""How a trial stands by the sessions that were published, in the order of their log."""

from collections import Counter
from typing import NamedTuple

from schemas.control import TrialEnd
from schemas.trials import TrialSession
from services.rollout.domain.trials.decision import TrialLog, TrialState
from shared.generations.trial import Trial


class TrialStanding(NamedTuple):
    """How a trial stands, and how many places the live generation's team and the candidate's had."""

    state: TrialState
    places: tuple[int, int] = (0, 0)

    def ended(self, end: TrialEnd, reason: str) -> "TrialStanding":
        """Return it with an end that may be another than that of its sessions."""
        return self._replace(state=self.state._replace(end=end, reason=reason))


class TrialSessions:
    """The published sessions of one trial: what its end is a function of."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self._log = TrialLog(trial.terms)
        self._places: Counter[int] = Counter()

    def take(self, session: TrialSession) -> bool:
        """Take the next of the log; return whether it is a new one of this trial: of two the first counts."""
        if session.trial != self.trial.name or not self._log.add(session):
            return False
        self._places.update(dict(enumerate(session.places)))
        return True

    def standing(self, *, over: bool = False) -> TrialStanding:
        """Return how the trial stands; `over`: no more sessions come."""
        return TrialStanding(self._log.state(over=over), (self._places[0], self._places[1]))
