"""How a trial stands, in words and as a line: for alerts, answers and `headrace rollout status`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from schemas.alerts import TRIAL, Alert, alert_key
from schemas.control import TrialEnd
from services.rollout.domain.standing import TrialStanding
from services.rollout.domain.trials.decision import Look, TrialState
from shared.generations.state import Generations
from shared.generations.trial import Trial

AlertStatus = Literal["firing", "updated", "resolved"]
BETTER = "trial-better"
"""The detector of the alert that asks for a promotion."""
WIDTH = 41
"""Characters of the line; the middle one is where neither is better."""

NEXT: Mapping[TrialEnd, str] = {
    "better": "headrace rollout promote {0}",
    "worse": "the live one stays; headrace rollout retire {0}",
    "no difference": "keep the cheaper of the two: the live one stays until you promote {0}",
    "not enough sessions": "try it again for longer: headrace rollout trial {0} --sessions N --days N",
    "void": "mend what the reason says, and try it again: headrace rollout trial {0}",
    "stopped": "try it again, or headrace rollout retire {0}",
}


def line(look: Look) -> str:
    """Return the interval of a look as a line: left the live one is better, right the candidate."""
    scale = max(abs(look.low), abs(look.mean), abs(look.high), 0.05)

    def column(value: float) -> int:
        return round((value / scale + 1) / 2 * (WIDTH - 1))

    cells = ["·"] * WIDTH
    for at in range(column(look.low), column(look.high) + 1):
        cells[at] = "━"
    cells[WIDTH // 2] = "┃" if look.low > 0 or look.high < 0 else "╋"
    cells[column(look.mean)] = "●"
    return f"{-scale:+.1%} {''.join(cells)} {scale:+.1%}"


def sentence(state: TrialState) -> str:
    """Return why it stands as it does, and of how many sessions."""
    return f"{state.reason}; {state.interleaved:,} interleaved sessions, {state.rest:,} others"


def alert(trial: Trial, standing: TrialStanding, *, now: datetime, status: AlertStatus) -> Alert:
    """Return the alert of a trial through its life."""
    state = standing.state
    against = f"trial of {trial.candidate} against {trial.live}"
    ended = f"{state.end}, " if state.end else ""
    return Alert(
        alert_key=alert_key(TRIAL, trial.candidate),
        status=status,
        severity="info",
        summary=f"{against}: {ended}{sentence(state)}"[:2000],
        action=NEXT[state.end].format(trial.candidate)
        if state.end
        else f"nothing; headrace rollout stop {trial.candidate} ends it",
        evidence=_evidence(trial, standing),
        generation=trial.candidate,
        started_at=trial.began_at,
        updated_at=now,
    )


def request_to_promote(trial: Trial, standing: TrialStanding, now: datetime) -> Alert:
    """Return the alert that asks a person to promote what shoppers prefer."""
    return Alert(
        alert_key=alert_key(BETTER, trial.candidate),
        status="firing",
        severity="info",
        summary=f"shoppers prefer {trial.candidate} to {trial.live}: {sentence(standing.state)}"[:2000],
        action=f"headrace rollout promote {trial.candidate}, or headrace rollout retire {trial.candidate}",
        resolution="manual",
        generation=trial.candidate,
        started_at=now,
        updated_at=now,
    )


def answered(request: Alert, state: Generations, now: datetime) -> Alert | None:
    """Return a request to promote as resolved; None: its generation still waits for an answer.

    It ends when the generation goes live, is dropped, or is tried anew; or by hand, when a person says no.
    """
    name = request.generation or ""
    why = _why_answered(name, state, request.started_at)
    if why is None or request.status == "resolved":
        return None
    return request.over(f"{name} {why}: nobody needs to promote it any more", now)


def _why_answered(name: str, state: Generations, since: datetime) -> str | None:
    generation = state.known.get(name)
    if generation is None or generation.stage == "retired":
        return "was dropped"
    if generation.stage == "live":
        return "is live"
    trials = [*state.past, *([] if state.trial is None else [state.trial])]
    is_tried = any(trial.candidate == name and trial.began_at > since for trial in trials)
    return "is tried anew" if is_tried else None


def _evidence(trial: Trial, standing: TrialStanding) -> Mapping[str, str | int | float]:
    state, places = standing
    evidence: dict[str, str | int | float] = {
        "trial": trial.name,
        "sessions": state.interleaved,
        "others": state.rest,
        "share": trial.terms.share,
        "places_live": places[0],
        "places_candidate": places[1],
        "error": trial.terms.error,
        "answers": state.answers,
        "drafted": state.drafted,
    }
    if state.looks:
        look = state.looks[-1]
        evidence |= {
            "looks": len(state.looks),
            "acted": look.deciding,
            "mean": look.mean,
            "low": look.low,
            "high": look.high,
            "line": line(look),
        }
    return evidence
