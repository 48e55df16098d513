"""From an alarm to what is observed: words for people, evidence, what to do, and a job that may help."""

from collections.abc import Collection, Mapping

from schemas.alerts import alert_key
from schemas.control import TrainingJob
from services.monitor.alerts.domain.observation import Evidence, Observation
from services.monitor.drift.domain.detector_group import Alarm, DetectorGroup
from services.monitor.drift.domain.signals import SIGNALS, Advice
from services.monitor.drift.domain.state_machine import SHOP

DRIFT = "drift"
ACTIONS: Mapping[Advice, str] = {
    "retrain": "train a new model on recent judgements (`headrace train`) and compare it with this one",
    "re-index": "build the index anew (`headrace rollout backfill`): it no longer fits the vectors",
    "look": "look at the evidence: a campaign or a new assortment is fine, anything else has a cause",
}


def observations(group: DetectorGroup, firing: Collection[str]) -> list[Observation]:
    """Return what every alarm says; and of the group's `firing` alerts without one, that they are over."""
    alarms = {key_of(group.name, name): alarm for name, alarm in group.alarms.items()}
    keys = {key_of(group.name, name): name for name in group.detectors}
    over = [
        Observation(
            key=key,
            breached=False,
            summary=f"{SIGNALS[name].words}: as usual again, or usual by now",
            action="nothing to do",
            generation=_generation(group),
        )
        for key, name in keys.items()
        if key in firing and key not in alarms
    ]
    return [*over, *(_observation(group, key, alarm) for key, alarm in alarms.items())]


def key_of(scope: str, signal: str) -> str:
    """Return the key of a signal's alert."""
    return alert_key(DRIFT, f"{scope}:{signal}")


def advice(alarm: Alarm) -> Advice:
    """Return what helps: against drift what the signal says; a bug, or nobody knows what, is looked at."""
    return SIGNALS[alarm.signal].drifting if alarm.verdict.cause == "drift" else "look"


def job(group: DetectorGroup, alarm: Alarm) -> TrainingJob:
    """Return the job that an alarm asks for: the same for the same alarm, to the byte."""
    return TrainingJob(
        job_id=f"drift-{group.name}-{alarm.signal}-{alarm.window}",
        status="requested",
        reason="drift",
        base_model="",
        updated_at=alarm.began,
    )


def _observation(group: DetectorGroup, key: str, alarm: Alarm) -> Observation:
    verdict = alarm.verdict
    form = "all at once" if verdict.shape == "step" else "bit by bit"
    action = (
        f"look at what came with it: {verdict.change}" if verdict.cause == "bug" else ACTIONS[advice(alarm)]
    )
    evidence: Evidence = {
        "value": round(alarm.shown, 6),
        "usual": round(alarm.usual, 6),
        "deviations": round(alarm.surprise, 2),
        "shape": verdict.shape,
        "since": verdict.since.isoformat(),
        **({"change": verdict.change} if verdict.change else {}),
        **_stability(alarm),
        **alarm.evidence,
    }
    return Observation(
        key=key,
        breached=True,
        severity="critical" if verdict.cause == "bug" else "warning",
        summary=(
            f"{SIGNALS[alarm.signal].words}: {alarm.shown:.3g}, usually {alarm.usual:.3g} at this hour; "
            f"{alarm.direction} {form} since {verdict.since:%Y-%m-%d %H:%M} UTC"
        ),
        action=action,
        cause=verdict.cause,
        evidence=evidence,
        signature=f"{verdict.cause} {verdict.shape}",
        generation=_generation(group),
    )


def _stability(alarm: Alarm) -> Evidence:
    stability = alarm.stability
    if stability is None:
        return {}
    return {"psi": round(stability.psi, 4), "psi_by_chance": round(stability.by_chance, 4)}


def _generation(group: DetectorGroup) -> str | None:
    return None if group.name == SHOP else group.name
