"""How a trial stands and how it ends: a function of its sessions, in the order of their log."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.control import TrialEnd, TrialTerms
from schemas.trials import TrialSession
from services.rollout.domain.trials import guardrails
from services.rollout.domain.trials.evidence import ENOUGH, Evidence
from services.rollout.domain.trials.guardrails import Moments
from shared.statistics.group_sequential import Plan
from shared.statistics.power import sessions_to_decide


class Look(NamedTuple):
    """What was seen after a number of interleaved sessions."""

    sessions: int
    deciding: int
    """Of them, those in which anything was acted upon."""
    mean: float
    """The preference: what the candidate's team got more than the live one's, of all that was acted upon."""
    low: float
    high: float
    """Its interval; it holds at all looks together, with the terms' error on each side."""


class TrialState(NamedTuple):
    """How a trial stands."""

    interleaved: int
    rest: int
    looks: tuple[Look, ...] = ()
    end: TrialEnd | None = None
    """None: it runs."""
    reason: str = "no look yet"
    """A sentence for people, with the interval."""
    more: int | None = None
    """Interleaved sessions that would probably decide it, on top; None: it is decided, or nobody can say."""
    answers: int = 0
    """Answers of the interleaved sessions."""
    drafted: int = 0
    """Those of them that both generations gave."""


@dataclass
class TrialLog:
    """Takes a trial's sessions in, one by one in the order of the log, until it has ended.

    The same sessions in the same order give the same state; of two of one session the first counts. Once it
    has ended, nothing changes it.
    """

    terms: TrialTerms
    _plan: Plan = field(init=False)
    _evidence: Evidence = field(default_factory=Evidence)
    _seen: set[str] = field(default_factory=set)
    _rest: int = 0
    _interleaved: int = 0
    _looks: list[Look] = field(default_factory=list)
    _abandoned: tuple[Moments, Moments] = field(default_factory=lambda: (Moments(), Moments()))
    _places: Moments = field(default_factory=Moments)
    _empty: Moments = field(default_factory=Moments)
    _took: Moments = field(default_factory=Moments)
    _undrafted: Moments = field(default_factory=Moments)
    _answers: int = 0
    _drafted: int = 0
    _ended: tuple[TrialEnd, str] | None = None

    def __post_init__(self) -> None:
        self._plan = Plan(self.terms.error, self.terms.sessions)

    def add(self, session: TrialSession) -> bool:
        """Take one session in; return whether it is new."""
        if session.session in self._seen:
            return False
        self._seen.add(session.session)
        if not self._ended:
            self._take(session)
        return True

    def _take(self, session: TrialSession) -> None:
        if session.arm == "rest":
            self._rest += 1
            self._abandoned[1].add(not session.acted)
            return
        self._interleaved += 1
        self._abandoned[0].add(not session.acted)
        self._answers += session.answers
        self._drafted += session.drafted
        self._undrafted.add(guardrails.LEAST_DRAFTED * session.answers - session.drafted)
        self._ended = self._late()
        if session.drafted and not self._ended:
            self._count(session)

    def state(self, *, over: bool = False) -> TrialState:
        """Return how it stands; `over`: no more sessions come, so that it ends in any case."""
        end, reason = self._ended or (self._not_enough() if over else (None, self._standing()))
        return TrialState(
            interleaved=self._interleaved,
            rest=self._rest,
            looks=tuple(self._looks),
            end=end,
            reason=reason,
            more=self._more() if end in (None, "not enough sessions") else None,
            answers=self._answers,
            drafted=self._drafted,
        )

    def _count(self, session: TrialSession) -> None:
        self._evidence.add(session)
        self._places.add(session.places[1] - session.places[0])
        self._empty.add(session.empty[1] - session.empty[0])
        self._took.add(session.took_ms[1] - guardrails.SLOWER * session.took_ms[0])
        number = len(self._looks)
        if number < len(self._plan.looks) and self._evidence.sessions == self._plan.looks[number]:
            self._looks.append(self._look(self._plan.boundaries[number]))
            self._ended = self._void() or self._breach() or self._decided() or self._planned_end()

    def _look(self, boundary: float) -> Look:
        low, high = self._evidence.interval(boundary)
        return Look(self._evidence.sessions, self._evidence.deciding, self._evidence.preference, low, high)

    def _void(self) -> tuple[TrialEnd, str] | None:
        if guardrails.out_of_ratio(self._interleaved, self._rest, self.terms.share):
            asked = f"{self.terms.share:.0%} were asked for"
            return "void", f"{self._interleaved} sessions interleaved and {self._rest} not, where {asked}"
        if guardrails.unequal(self._places):
            apart = f"{self._places.mean:+.2f} places a session"
            return "void", f"the teams had unequal places: the candidate's {apart} against the live one's"
        return None

    def _late(self) -> tuple[TrialEnd, str] | None:
        """Return the end of a trial whose candidate is too often missing; asked after every session.

        Not at looks, which come by sessions in which something was drafted: there may be none.
        """
        if not guardrails.positive(self._undrafted):
            return None
        given = f"{self._drafted / self._answers:.1%} of the answers that it was asked for"
        least = f"{guardrails.LEAST_DRAFTED:.0%} are needed"
        return "worse", f"it gave {given} in time and whole, and {least}"

    def _breach(self) -> tuple[TrialEnd, str] | None:
        interleaved, rest = self._abandoned
        if guardrails.above(interleaved, rest):
            apart = f"{interleaved.mean:.1%} of the interleaved sessions and {rest.mean:.1%} of the rest"
            return "worse", f"{apart} were abandoned"
        if guardrails.positive(self._empty):
            return "worse", f"it finds nothing more often, in {self._empty.mean:+.3f} answers a session"
        if guardrails.positive(self._took):
            return "worse", f"it takes more than {guardrails.SLOWER:g} times as long as the live one"
        return None

    def _decided(self) -> tuple[TrialEnd, str] | None:
        look, equal = self._looks[-1], self.terms.equal
        if look.low > 0:
            return "better", f"shoppers prefer it: {_interval(look)}"
        if look.high < 0:
            return "worse", f"shoppers prefer the live one: {_interval(look)}"
        if -equal < look.low and look.high < equal:
            return "no difference", f"as good as equal, within {equal:.1%} either way: {_interval(look)}"
        return None

    def _planned_end(self) -> tuple[TrialEnd, str] | None:
        planned = self.terms.sessions is not None and self._evidence.sessions >= self.terms.sessions
        return self._not_enough() if planned else None

    def _not_enough(self) -> tuple[TrialEnd, str]:
        more = self._more()
        needed = f"about {more:,} more would probably decide" if more else "nobody can say how many would do"
        return "not enough sessions", f"{self._standing()}; {needed}"

    def _standing(self) -> str:
        if not self._looks:
            return f"{self._evidence.sessions} of {self._plan.looks[0]} sessions before the first look"
        return f"not decided: {_interval(self._looks[-1])}"

    def _more(self) -> int | None:
        if not self._looks or self._evidence.clients < ENOUGH:
            return None
        look = self._looks[-1]
        deviation = (look.high - look.low) / 2 / self._plan.boundaries[len(self._looks) - 1]
        needed = sessions_to_decide(
            look.mean, deviation * math.sqrt(look.sessions), equal=self.terms.equal, error=self.terms.error
        )
        return max(needed - self._evidence.sessions, 1)


def decide(sessions: Iterable[TrialSession], terms: TrialTerms, *, over: bool = False) -> TrialState:
    """Return how a trial stands after the sessions, in the order of their log."""
    log = TrialLog(terms)
    for session in sessions:
        log.add(session)
    return log.state(over=over)


def _interval(look: Look) -> str:
    interval = f"{look.mean:+.1%} [{look.low:+.1%}, {look.high:+.1%}]"
    return f"{interval} of what shoppers chose in {look.deciding:,} of {look.sessions:,} sessions"
