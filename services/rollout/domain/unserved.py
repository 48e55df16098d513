"""Generations that are ready or warm and that a worker has given up: an alert each, as long as it is so.

Nothing is taken from them: what the other workers have of them stays, and a worker that is started again
tries anew. One that is still being built is given up as a whole.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Protocol

from schemas.alerts import Alert, alert_key
from services.rollout.domain.readiness import GenerationEvidence
from shared.generations.state import SWITCHABLE, Generations

UNSERVED = "generation-unserved"
"""The detector of these alerts."""


class Report(Protocol):
    """How one process is getting on with one generation (`shared/generations/status.py:GenerationStatus`)."""

    @property
    def generation(self) -> str: ...  # noqa: D102 - as there
    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def reason(self) -> str: ...  # noqa: D102
    @property
    def refused(self) -> bool: ...  # noqa: D102
    @property
    def worker(self) -> str: ...  # noqa: D102


def changes(
    state: Generations, statuses: Iterable[Report], raised: Iterable[Alert], *, now: datetime
) -> list[Alert]:
    """Return what is to be said now.

    `statuses` are of the living workers, `raised` the last of each of these alerts.
    """
    reported = list(statuses)
    kept = {generation.name for generation in state.of(*SWITCHABLE)}
    reasons = {
        status.generation: f"{status.worker}: {status.reason}"
        for status in reported
        if status.refused and status.generation in kept
    }
    fired = {alert.generation or "": alert for alert in raised if alert.status != "resolved"}
    working = {status.generation for status in reported if status.status == "running"} - reasons.keys()
    over = {name for name in fired if name not in kept or name in working}
    return [*_fired(reasons, fired, now), *_over({name: fired[name] for name in sorted(over)}, now)]


def unanswerable(evidence: GenerationEvidence) -> str | None:
    """Return why searches must not be switched to a generation: of some kind, all workers have given it up.

    Without search it has no answers, without shards no products, and without an embedder those of yesterday.
    """
    working = {name.partition("/")[0] for name in evidence.running}
    left = [f"{kind}: {why}" for kind, why in sorted(evidence.given_up.items()) if kind not in working]
    return f"{evidence.generation} cannot answer, a worker has given it up: {left[0]}" if left else None


def _fired(reasons: Mapping[str, str], fired: Mapping[str, Alert], now: datetime) -> Iterator[Alert]:
    for name, reason in sorted(reasons.items()):
        summary = f"generation {name} was given up by {reason}"[:2000]
        before = fired.get(name)
        if before is None or before.summary != summary:
            yield Alert(
                alert_key=alert_key(UNSERVED, name),
                status="firing" if before is None else "updated",
                severity="warning",
                summary=summary,
                cause="bug",
                action=f"mend its model's directory and start that worker again, or give it up: "
                f"`headrace rollout retire {name}`",
                generation=name,
                started_at=now if before is None else before.started_at,
                updated_at=now,
            )


def _over(alerts: Mapping[str, Alert], now: datetime) -> Iterator[Alert]:
    for name, alert in alerts.items():
        yield alert.over(f"generation {name} is served again, or is no longer kept", now)
