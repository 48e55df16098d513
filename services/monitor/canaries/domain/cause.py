"""Bug or drift: a step right after a change looks like a bug, a slope like drift."""

from services.monitor.alerts.domain.observation import Cause

STEP_SHARE = 0.6
"""A fall is a step when the last run alone took at least this share of it."""


def cause_of(*, reference: float, before: float, value: float, changed: bool) -> Cause:
    """Judge how a result came down from `reference` to `value`; `before` was the last healthy one.

    `changed` says that the catalogue, the index generation or the canary changed between `before` and
    `value`. A step without a change, and no fall at all, are unknown.
    """
    fall = reference - value
    if fall <= 0:
        return "unknown"
    if before - value >= STEP_SHARE * fall:
        return "bug" if changed else "unknown"
    return "drift"
