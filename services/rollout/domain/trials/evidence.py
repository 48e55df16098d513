"""What all sessions of a trial said so far: the preference, and how sure it is, by client."""

import math
from dataclasses import dataclass, field

from schemas.trials import TrialSession
from services.rollout.domain.trials.credit import voice

PER_CLIENT = 10
"""Deciding sessions of one client that count: the first ones. Heavy shoppers may not decide a trial."""
ENOUGH = 50
"""Clients who acted, below which a standard error says nothing."""


@dataclass
class Evidence:
    """The preference for the candidate: what it got more than the live one, of all that shoppers acted upon.

    That is the sum of the scores over the sum of the voices of sessions in which anything was acted upon:
    +0.02 when, of 100 products that shoppers chose, the candidate's team got two clicks more. Only the first
    sessions of a client count, so that each one's part is bounded, and the standard error is that of a ratio
    of sums over clients, who are independent of each other as one client's sessions are not (Liang and
    Zeger 1986; Deng, Knoblich and Lu, "Applying the delta method in metric analytics", KDD 2018).
    """

    sessions: int = 0
    """Interleaved ones."""
    deciding: int = 0
    """Those in which anything was acted upon, and that count."""
    clients: int = 0
    _clients: dict[str, tuple[int, float, float]] = field(default_factory=dict)
    """Of each known client: how many sessions, the sum of their voices, the sum of their scores."""
    _voice: float = 0.0
    _score: float = 0.0
    _squares: float = 0.0
    _products: float = 0.0
    _voices: float = 0.0
    """Sums over clients: of score times score, score times voice, voice times voice."""

    def add(self, session: TrialSession) -> None:
        """Count an interleaved session. The order of sessions decides which of a client count."""
        self.sessions += 1
        if not session.acted:
            return
        count, voices, score = self._clients.get(session.client, (0, 0.0, 0.0))
        if count >= PER_CLIENT:
            return
        now_voices, now_score = voices + voice(session.acted), score + session.score
        if session.client:
            self._clients[session.client] = count + 1, now_voices, now_score
        self.deciding += 1
        self.clients += not count
        self._voice += now_voices - voices
        self._score += session.score
        self._squares += now_score**2 - score**2
        self._products += now_score * now_voices - score * voices
        self._voices += now_voices**2 - voices**2

    @property
    def preference(self) -> float:
        """Return the preference; 0 when nothing was acted upon."""
        return self._score / self._voice if self.deciding else 0.0

    @property
    def standard_error(self) -> float:
        """Return that of the preference; infinite before there are enough clients.

        One more client is thought of, with the voice of one product, who prefers one side wholly: where all
        said nothing, the next may not.
        """
        if self.clients < ENOUGH:
            return math.inf
        ratio = self.preference
        spread = self._squares - 2 * ratio * self._products + ratio**2 * self._voices
        spread = max(spread, 0.0) + voice(1) ** 2
        return math.sqrt(spread * self.clients / (self.clients - 1)) / self._voice
