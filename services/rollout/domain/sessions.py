"""What the sessions of a trial did, from outcomes that come in any order and any number of times.

A session's window begins when the broker appended its first answer; what was appended within it counts,
whatever times shoppers' clocks say. So a session is a function of what lies in the topics of queries and
events: it is the same joined once or again after Redis was emptied, read in one go or after ten take-overs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from schemas.judgements import Outcome, OutcomeTrial
from schemas.search import TrialPart
from schemas.trials import TrialSession
from services.rollout.domain.trials.credit import ProductAction, credit
from shared.generations.trial import Trial

N = TypeVar("N", int, float)
NOBODY = "-"
ASKED = "impression"
"""What each page says of itself; what came too late to count does not, nor do actions on it."""


class _Act(NamedTuple):
    acted_at: datetime
    team: str


class _Shown(NamedTuple):
    asked_at: datetime
    team: str


@dataclass(slots=True)
class _Open:
    """A session whose window has not closed yet."""

    answers: dict[tuple[str, int], OutcomeTrial] = field(default_factory=dict)
    """By query id and page; every outcome of a page says the same of it."""
    acts: dict[tuple[str, str, str], _Act] = field(default_factory=dict)
    """The first of each (query id, product, action)."""
    further: dict[tuple[str, str], _Shown] = field(default_factory=dict)
    """By query id and product, what further pages showed: an action may have been joined before its page."""

    @property
    def began_at(self) -> datetime:
        return min(answer.asked_at for answer in self.answers.values())


class SessionFold:
    """The open sessions of one trial, and which are closed: adding is commutative and idempotent.

    `weights` are the objective: an action that it does not name is not remembered.
    """

    def __init__(self, trial: Trial, weights: Mapping[str, float]) -> None:
        self._trial = trial
        self._weights = {action: weight for action, weight in weights.items() if weight > 0}
        self._window = timedelta(seconds=trial.terms.window_seconds)
        self._open: dict[str, _Open] = {}
        self._closed: set[str] = set()

    @property
    def open(self) -> int:
        """How many sessions have a window that is not closed, or are not published yet."""
        return len(self._open)

    def take(self, outcome: Outcome) -> None:
        """Add what an outcome says; one of another trial or of a closed session says nothing."""
        mark = outcome.trial
        if mark is None or mark.trial != self._trial.name or mark.session in self._closed:
            return
        session = self._open.setdefault(mark.session, _Open())
        query_id = outcome.query_id
        products = mark.products or [item.product_id for item in outcome.items]
        teams = mark.teams or NOBODY * len(products)
        if outcome.action == ASKED:
            session.answers.setdefault((query_id, mark.page), mark)
            for product_id, team in zip(products, teams, strict=False) if mark.page else ():
                session.further[query_id, product_id] = _Shown(mark.asked_at, team)
        if outcome.action not in self._weights:
            return
        for item, team in zip(outcome.items, teams, strict=False):
            what = query_id, item.product_id, outcome.action
            act = _Act(mark.acted_at, NOBODY if mark.page else team)
            session.acts[what] = min(act, session.acts.get(what, act))

    def close(self, sessions: Iterable[str]) -> None:
        """Forget sessions that were published; nothing more is taken of them."""
        for session in sessions:
            self._closed.add(session)
            self._open.pop(session, None)

    def ended(self, moment: datetime) -> list[TrialSession]:
        """Return the open sessions whose window closed before `moment`, up to which all has been taken."""
        over = [
            name
            for name, session in self._open.items()
            if session.answers and session.began_at + self._window < moment
        ]
        sessions = [self._session(name, self._open[name]) for name in over]
        return sorted(sessions, key=lambda session: (session.began_at, session.session))

    def _session(self, name: str, session: _Open) -> TrialSession:
        end = session.began_at + self._window
        answers = {page: answer for page, answer in sorted(session.answers.items()) if answer.asked_at <= end}
        asked = {query_id for query_id, _ in answers}
        teams = {product: shown.team for product, shown in session.further.items() if shown.asked_at <= end}
        actions = [
            ProductAction(query_id, product_id, action, teams.get((query_id, product_id), act.team))
            for (query_id, product_id, action), act in sorted(session.acts.items())
            if act.acted_at <= end and query_id in asked
        ]
        said = credit(actions, self._weights)
        first = min(answers.items(), key=lambda item: (item[1].asked_at, item[0]))[1]
        pairs = [pair for answer in answers.values() if (pair := self._pair(answer)) is not None]
        return TrialSession(
            trial=self._trial.name,
            session=name,
            client=first.client,
            arm=first.arm,
            began_at=session.began_at,
            answers=len(answers),
            drafted=len(pairs),
            score=said.score,
            acted=said.acted,
            places=_both(sum(answer.places[team] for answer in answers.values()) for team in (0, 1)),
            empty=_both(sum(not pair[team].hits for pair in pairs) for team in (0, 1)),
            took_ms=_both(round(sum(pair[team].took_ms for pair in pairs), 3) for team in (0, 1)),
        )

    def _pair(self, answer: OutcomeTrial) -> tuple[TrialPart, TrialPart] | None:
        """Return the two parts of an answer that was drafted."""
        parts = {part.generation: part for part in answer.parts}
        live, candidate = parts.get(self._trial.live), parts.get(self._trial.candidate)
        if answer.arm == "rest" or live is None or candidate is None:
            return None
        return live, candidate


def _both(values: Iterable[N]) -> tuple[N, N]:
    live, candidate = values
    return live, candidate
