"""A shop's own front end while a trial runs: it drafts as `POST /search` does, and says so in its log."""

import random
from collections.abc import Mapping, Sequence

from schemas.search import Ranking, TrialAnswer, TrialPart
from services.lab.simulation.traffic import Visit, VisitResults
from services.search.domain.draft import coins_of, draft, ranks_of
from services.search.domain.record import NO_MODEL
from shared.generations.trial import Trial, arm_of

Drafted = list[tuple[str, str | None]]
"""Each hit and its team; None: nothing was drafted."""


class TrialFrontEnd:
    """What the shoppers of a trial are shown: a function of the trial, the ids, and two fixed rankings.

    `live` and `candidate` are the first page of each query, by its id, best first.
    """

    def __init__(
        self, trial: Trial, live: Mapping[str, Sequence[str]], candidate: Mapping[str, Sequence[str]]
    ) -> None:
        self.trial = trial
        self._live = live
        self._candidate = candidate

    def drafted(self, query: str, query_id: str, *, session_id: str, k: int) -> Drafted:
        """Return the `k` products, at most, that a session is shown for a query, best first."""
        if arm_of(self.trial, session_id=session_id, client_id=None) != "interleaved":
            return [(product_id, None) for product_id in self._live[query][:k]]
        coins = coins_of(self.trial.name, query_id)
        picks = draft(self._live[query], self._candidate[query], k, coins=coins)
        return [(pick.product_id, pick.team) for pick in picks]

    def show(self, visit: Visit, query_id: str, k: int, rng: random.Random) -> VisitResults:  # noqa: ARG002 - the ids are all its chance
        """Return what a visit is shown, with what its log says of it."""
        hits = self.drafted(visit.query.id, query_id, session_id=visit.session_id, k=k)
        ranking = Ranking(
            generation=self.trial.live,
            fingerprint=NO_MODEL,
            mode="hybrid",
            trial=self._answer(visit.query.id, hits),
        )
        return VisitResults(query_id, tuple(product_id for product_id, _ in hits), visit.time, ranking)

    def _answer(self, query: str, hits: Drafted) -> TrialAnswer:
        live, candidate = self._live[query], self._candidate[query]
        teams = "".join(team or "" for _, team in hits)
        parts: tuple[TrialPart, ...] = (TrialPart(generation=self.trial.live, hits=len(live)),)
        if not teams:
            return TrialAnswer(trial=self.trial.name, arm="rest", parts=parts)
        parts += (TrialPart(generation=self.trial.candidate, hits=len(candidate)),)
        ranks = tuple(ranks_of((product_id for product_id, _ in hits), live, candidate))
        return TrialAnswer(trial=self.trial.name, arm="interleaved", teams=teams, ranks=ranks, parts=parts)
