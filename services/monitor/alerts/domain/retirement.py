"""Alerts on a generation end with it."""

from collections.abc import Collection, Mapping

from services.monitor.alerts.domain.observation import Observation
from services.monitor.alerts.domain.state import AlertState


def retired(states: Mapping[str, AlertState], live: Collection[str]) -> list[Observation]:
    """Return what closes the alerts on generations that are no longer live."""
    return [
        Observation(
            key=key,
            breached=False,
            summary=f"generation {state.alert.generation} is no longer served",
            action="nothing to do",
            final=True,
        )
        for key, state in sorted(states.items())
        if state.alert is not None
        and state.alert.generation is not None
        and state.alert.generation not in live
    ]
