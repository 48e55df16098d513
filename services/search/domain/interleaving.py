"""How an answer takes part in the trial of a generation: whether, in which arm, and with whose hits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from schemas.search import TrialAnswer, TrialPart
from schemas.search_api import SearchRequest
from services.search.domain.answer import SearchAnswer
from services.search.domain.draft import coins_of, draft, ranks_of
from services.search.domain.fusion import RankedCandidate
from shared.generations.trial import Arm, Trial, arm_of


@dataclass(frozen=True, slots=True)
class Participation:
    """The trial that a search takes part in, and its arm."""

    trial: Trial
    arm: Arm


def is_shown(request: SearchRequest) -> bool:
    """Whether a shopper sees the answer of the live generation to this.

    What names a generation or is not logged is a probe, and so is what waits for `min_offsets` or what was
    `written`: these are, or become, places in the log of one generation.
    """
    waits = request.min_offsets is not None or request.written is not None
    return request.log and request.generation is None and not waits


def participation(trial: Trial | None, request: SearchRequest, *, generation: str) -> Participation | None:
    """Return how a search that `generation` answers takes part; None: it does not."""
    if trial is None or trial.live != generation or not is_shown(request):
        return None
    arm = arm_of(trial, session_id=request.session_id, client_id=request.client_id)
    return None if arm is None else Participation(trial, arm)


def taking_part(answers: Sequence[SearchAnswer], part: Participation, *, k: int) -> SearchAnswer:
    """Return the answer of at most `k` hits that a shopper gets, and how it takes part.

    `answers` are the live generation's, and after it the candidate's where there is something to draft.
    In a draft each hit keeps the score of its generation; all else that is said is the live one's.
    """
    live, *candidate = answers
    parts = tuple(
        TrialPart(generation=answer.generation, hits=len(answer.ranked), took_ms=answer.took_ms)
        for answer in answers
    )
    trial = TrialAnswer(trial=part.trial.name, arm=part.arm, parts=parts)
    if not candidate:
        return replace(live, trial=trial)
    rankings = {"A": _by_id(live.ranked), "B": _by_id(candidate[0].ranked)}
    of_live, of_candidate = list(rankings["A"]), list(rankings["B"])
    picks = draft(of_live, of_candidate, k, coins=coins_of(trial.trial, live.query_id))
    ranks = ranks_of((pick.product_id for pick in picks), of_live, of_candidate)
    shown = [rankings[pick.team][pick.product_id] for pick in picks]
    drafted = {"teams": "".join(pick.team for pick in picks), "ranks": tuple(ranks)}
    return replace(live, ranked=shown, own=live.ranked, trial=trial.model_copy(update=drafted))


def _by_id(ranked: Sequence[RankedCandidate]) -> dict[str, RankedCandidate]:
    return {hit.candidate.product_id: hit for hit in ranked}
