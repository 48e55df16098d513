"""Do producers write where their messages are at home: from what routers forwarded."""

from collections.abc import Mapping
from datetime import datetime

from schemas.alerts import alert_key
from services.monitor.alerts.domain.observation import Observation
from shared.streaming.misplacement import Misplacement
from shared.streaming.repartition import Tally

FORWARDED = "forwarded"


def forwarding(topic: str, tallies: Mapping[Misplacement, Tally], *, since: datetime) -> Observation:
    """Say for which causes messages of a topic were forwarded since then, and how to save the detour."""
    recent = {cause: tally for cause, tally in sorted(tallies.items()) if tally.moment >= since}
    number = sum(tally.number for tally in recent.values())
    causes = "; ".join(f"{tally.number:,} by {cause.value}" for cause, tally in recent.items())
    latest = max(recent.values(), key=lambda tally: tally.last, default=None)
    return Observation(
        key=alert_key(FORWARDED, topic),
        breached=bool(recent),
        severity="info",
        summary=(
            f"{number:,} messages of {topic} lay in another partition than their id's and were forwarded "
            f"({causes}), such as {latest.example}: nothing is lost, each costs one write more"
            if latest
            else f"messages of {topic} lie where they are at home"
        ),
        action=(
            "; ".join(f"a producer of {topic}: {cause.explanation}" for cause in recent) or "nothing to do"
        ),
        evidence={
            "topic": topic,
            "forwarded": number,
            "causes": tuple(cause.value for cause in recent),
            "example": latest.example if latest else "",
        },
        signature=f"{list(map(str, recent))} {len(str(number))}",
    )
