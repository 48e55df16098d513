"""From an alarm to what is observed: words for people, evidence, what to do, and a job that may help."""

from collections.abc import Mapping

from schemas.control import TrainingJob
from services.monitor.domain.drift.panel import Alarm, Panel
from services.monitor.domain.drift.signals import SIGNALS, Advice
from services.monitor.domain.drift.watch import SHOP
from services.monitor.domain.observation import Evidence, Observation, alert_key

DRIFT = "drift"
ACTIONS: Mapping[Advice, str] = {
    "retrain": "train a new model on recent judgements (`headrace train`) and compare it with this one",
    "re-index": "build the index anew (`headrace rollout backfill`): it no longer fits the vectors",
    "look": "look at the evidence: a campaign or a new assortment is fine, anything else has a cause",
}


def observations(panel: Panel, known: Mapping[str, object]) -> list[Observation]:
    """Return what every alarm says, and of the alerts in `known` that have none, that they are over."""
    alarms = {key_of(panel.name, name): alarm for name, alarm in panel.alarms.items()}
    ours = {key_of(panel.name, name): name for name in panel.detectors}
    over = [
        Observation(
            key=key,
            breached=False,
            summary=f"{SIGNALS[name].words}: as usual again, or usual by now",
            action="nothing to do",
            generation=_generation(panel),
        )
        for key, name in ours.items()
        if key in known and key not in alarms
    ]
    return [*over, *(_observation(panel, key, alarm) for key, alarm in alarms.items())]


def key_of(scope: str, signal: str) -> str:
    """Return the key of a signal's alert."""
    return alert_key(DRIFT, f"{scope}:{signal}")


def advice(alarm: Alarm) -> Advice:
    """Return what helps: against drift what the signal says; a bug, or nobody knows what, is looked at."""
    return SIGNALS[alarm.signal].drifting if alarm.verdict.cause == "drift" else "look"


def job(panel: Panel, alarm: Alarm) -> TrainingJob:
    """Return the job that an alarm asks for: the same for the same alarm, to the byte."""
    return TrainingJob(
        job_id=f"drift-{panel.name}-{alarm.signal}-{alarm.window}",
        status="requested",
        reason="drift",
        base_model="",
        updated_at=alarm.began,
    )


def _observation(panel: Panel, key: str, alarm: Alarm) -> Observation:
    said = alarm.verdict
    form = "all at once" if said.shape == "step" else "bit by bit"
    action = f"look at what came with it: {said.change}" if said.cause == "bug" else ACTIONS[advice(alarm)]
    evidence: Evidence = {
        "value": round(alarm.shown, 6),
        "usual": round(alarm.usual, 6),
        "deviations": round(alarm.surprise, 2),
        "shape": said.shape,
        "since": said.since.isoformat(),
        **({"change": said.change} if said.change else {}),
        **_stability(alarm),
        **alarm.evidence,
    }
    return Observation(
        key=key,
        breached=True,
        severity="critical" if said.cause == "bug" else "warning",
        summary=(
            f"{SIGNALS[alarm.signal].words}: {alarm.shown:.3g}, usually {alarm.usual:.3g} at this hour; "
            f"{alarm.direction} {form} since {said.since:%Y-%m-%d %H:%M} UTC"
        ),
        action=action,
        cause=said.cause,
        evidence=evidence,
        signature=f"{said.cause} {said.shape}",
        generation=_generation(panel),
    )


def _stability(alarm: Alarm) -> Evidence:
    found = alarm.stability
    return {} if found is None else {"psi": round(found.psi, 4), "psi_by_chance": round(found.by_chance, 4)}


def _generation(panel: Panel) -> str | None:
    return None if panel.name == SHOP else panel.name
