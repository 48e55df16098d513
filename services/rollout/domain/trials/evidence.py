"""What all sessions of a trial said so far: the preference, and how sure it is, by client."""

from dataclasses import dataclass, field

import numpy as np

from schemas.trials import TrialSession
from services.rollout.domain.trials.credit import voice
from shared.statistics.ratio import interval, power_sums

PER_CLIENT = 10
"""Deciding sessions of one client that count: the first ones. Heavy shoppers may not decide a trial."""
ENOUGH = 50
"""Clients who acted, below which there is no interval."""
ANYTHING = (-2.0, 2.0)
"""Where a preference lies in any case."""


@dataclass
class _Client:
    sessions: int = 0
    voice: float = 0.0
    score: float = 0.0


@dataclass
class Evidence:
    """The preference for the candidate: what it got more than the live one, of all that shoppers acted upon.

    That is the sum of the scores over the sum of the voices of sessions in which anything was acted upon:
    +0.02 when, of 100 products that shoppers chose, the candidate's team got two clicks more. Only the first
    sessions of a client count, so that each one's part is bounded, and the interval is that of a ratio of
    sums over clients, who are independent of each other as one client's sessions are not (Liang and
    Zeger 1986; Deng, Knoblich and Lu, "Applying the delta method in metric analytics", KDD 2018).
    """

    sessions: int = 0
    """Interleaved ones."""
    deciding: int = 0
    """Those in which anything was acted upon, and that count."""
    _known: dict[str, _Client] = field(default_factory=dict)
    _clients: list[_Client] = field(default_factory=list)
    """The known ones, and each session of an unknown one."""

    def add(self, session: TrialSession) -> None:
        """Count an interleaved session. The order of sessions decides which of a client count."""
        self.sessions += 1
        if not session.acted:
            return
        client = self._client(session.client)
        if client.sessions < PER_CLIENT:
            self.deciding += 1
            client.sessions += 1
            client.voice += voice(session.acted)
            client.score += session.score

    @property
    def clients(self) -> int:
        """How many acted."""
        return len(self._clients)

    @property
    def preference(self) -> float:
        """Return the preference; 0 when nothing was acted upon."""
        voices = sum(client.voice for client in self._clients)
        return sum(client.score for client in self._clients) / voices if voices else 0.0

    def interval(self, boundary: float) -> tuple[float, float]:
        """Return the interval of the preference, so many standard errors either way; `ANYTHING` of a few."""
        if self.clients < ENOUGH:
            return ANYTHING
        scores = np.array([client.score for client in self._clients])
        voices = np.array([client.voice for client in self._clients])
        low, high = interval(power_sums(scores, voices), boundary)
        return max(float(low), ANYTHING[0]), min(float(high), ANYTHING[1])

    def _client(self, name: str) -> _Client:
        client = self._known.get(name) if name else None
        if client is None:
            client = _Client()
            self._clients.append(client)
            if name:
                self._known[name] = client
        return client
