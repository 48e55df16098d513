"""What all sessions of a trial said so far: the mean score, and how sure it is, by client."""

import math
from dataclasses import dataclass, field

from schemas.trials import TrialSession

PER_CLIENT = 4
"""Deciding sessions of one client that count: the first ones. Heavy shoppers may not decide a trial."""
ENOUGH = 50
"""Clients who acted, below which a standard error says nothing."""


@dataclass
class Evidence:
    """The mean score of deciding sessions (in which anything was acted upon), with a cluster-robust error.

    A session says the more the fewer its client has had: only the first ones count, so that each client's
    part is bounded, and the standard error is that of a ratio of sums over clients, which are independent of
    each other where one client's sessions are not (Liang and Zeger 1986; Chapelle et al., "Large-scale
    validation and analysis of interleaved search evaluation", TOIS 2012, section 4).
    """

    sessions: int = 0
    """Interleaved ones."""
    deciding: int = 0
    """Those in which anything was acted upon, and that count."""
    clients: int = 0
    _sums: dict[str, tuple[int, float]] = field(default_factory=dict)
    _total: float = 0.0
    _squares: float = 0.0
    _products: float = 0.0
    _counts: float = 0.0

    def add(self, session: TrialSession) -> None:
        """Count an interleaved session. The order of sessions decides which of a client count."""
        self.sessions += 1
        if not session.acted:
            return
        count, total = self._sums.get(session.client, (0, 0.0)) if session.client else (0, 0.0)
        if count >= PER_CLIENT:
            return
        self.deciding += 1
        self.clients += not count
        grown = total + session.score
        self._total += session.score
        self._squares += grown**2 - total**2
        self._products += grown * (count + 1) - total * count
        self._counts += (count + 1) ** 2 - count**2
        if session.client:
            self._sums[session.client] = count + 1, grown

    @property
    def mean(self) -> float:
        """Return the mean score; 0 when nothing was acted upon."""
        return self._total / self.deciding if self.deciding else 0.0

    @property
    def standard_error(self) -> float:
        """Return that of the mean; infinite before there are enough clients.

        One more client is thought of who prefers one side wholly: where all said nothing, the next may not.
        """
        if self.clients < ENOUGH:
            return math.inf
        spread = self._squares - 2 * self.mean * self._products + self.mean**2 * self._counts
        return math.sqrt((max(spread, 0.0) + 1) * self.clients / (self.clients - 1)) / self.deciding
