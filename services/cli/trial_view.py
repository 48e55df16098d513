"""What `headrace rollout` shows of a trial: what it can tell before it starts, and how it stands."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from rich.table import Table

from schemas.control import Model
from services.rollout.domain.announcement import line, sentence
from services.rollout.domain.standing import TrialStanding
from services.rollout.domain.trials.guardrails import LEAST_DRAFTED
from services.rollout.domain.trials.plan import planned_sessions
from shared.errors import ConfigurationError
from shared.generations.trial import Trial
from shared.statistics.power import power

GAINS = (0.02, 0.04, 0.08)
"""Relative gains in nDCG@10."""
SESSIONS = (2_500, 5_000, 10_000, 20_000, 60_000)
MOST = 0.8


def share_of(text: str) -> float:
    """Return a share such as 50% or 0.5; raises `ConfigurationError` for what is none, or too much."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= MOST:
        raise ConfigurationError(f"--share {text}: a share of the sessions such as 50%, at most {MOST:.0%}")
    return share


def advice(asked: int | None, model: Model | None) -> str:
    """Return a sentence on the sessions after which a trial ends, where its model advises them, else ""."""
    planned = planned_sessions(asked, model)
    if model is None or planned is None or planned == asked:
        return ""
    return (
        f"It ends after {planned:,} interleaved sessions, as the verdict on model {model.model_id} advises:"
        " --sessions N is another number"
    )


def power_table(error: float, planned: int | None) -> Table:
    """Return how probably a trial with that error finds a gain, by the interleaved sessions that it gets."""
    table = Table(
        title=f"found with this probability, by relative gain in nDCG@10; error {error:.2%}",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    table.add_column("interleaved sessions", justify="right")
    for gain in GAINS:
        table.add_column(f"{gain:+.0%}", justify="right")
    for sessions in sorted({*SESSIONS, *([planned] if planned else [])}):
        table.add_row(f"{sessions:,}", *(f"{power(gain, sessions, error=error):.0%}" for gain in GAINS))
    return table


def trial_row(trial: Trial, standing: TrialStanding) -> dict[str, Any]:  # Any: JSON
    """Return how a trial stands; `more` interleaved sessions would probably decide it."""
    state, places = standing
    row: dict[str, Any] = {  # Any: JSON
        "trial": trial.name,
        "candidate": trial.candidate,
        "live": trial.live,
        "share": trial.terms.share,
        "interleaved": state.interleaved,
        "rest": state.rest,
        "asked": trial.terms.sessions,
        "ends_at": (trial.began_at + timedelta(days=trial.terms.days)).isoformat(),
        "places": list(places),
        "answers": state.answers,
        "drafted": state.drafted,
        "looks": len(state.looks),
        "end": state.end,
        "reason": sentence(state),
        "more": state.more,
    }
    if state.looks:
        look = state.looks[-1]
        row |= {"mean": look.mean, "low": look.low, "high": look.high, "line": line(look)}
    return row


def trial_lines(row: Mapping[str, Any]) -> Iterator[str]:  # Any: JSON
    """Yield the same for people, with the interval as a line that moves from look to look."""
    asked = f" of {row['asked']:,}" if row["asked"] else ""
    yield (
        f"{row['candidate']} is tried against {row['live']}: {row['interleaved']:,}{asked} interleaved"
        f" sessions ({row['share']:.0%} were asked for), {row['rest']:,} others;"
        f" until {row['ends_at'][:10]} at the latest"
    )
    if row["answers"]:
        share = row["drafted"] / row["answers"]
        yield (
            f"{share:.1%} of {row['answers']:,} answers are of both, in time and whole;"
            f" {LEAST_DRAFTED:.0%} are needed"
        )
    if "line" in row:
        yield f"{row['live']} {row['line']} {row['candidate']}"
    yield str(row["reason"])
