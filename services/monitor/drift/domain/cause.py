"""Bug or drift: a step close to a change of the installation is a bug, a slope is drift."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from services.monitor.alerts.domain.observation import Cause
from services.monitor.drift.domain.shape import Shape, fit_shape

NEAR = 2
"""Windows between a change and a step that it may have caused."""


class InstallationChange(BaseModel):
    """Something of the installation changed: a worker was started, a model switched, a field came or went."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    what: str


class AlarmVerdict(BaseModel):
    """What an alarm looks like."""

    model_config = ConfigDict(frozen=True)

    shape: Shape
    since: datetime
    """When it began, as far as can be told."""
    cause: Cause
    change: str = ""
    """The change that it came with."""


def verdict(
    surprises: NDArray[np.float64], start: datetime, *, span: timedelta, changes: Sequence[InstallationChange]
) -> AlarmVerdict:
    """Judge an alarm by its surprises (up is bad) to the window that begins at `start`.

    A step without a change is unknown: it may be a bug elsewhere, or a campaign.
    """
    fitted = fit_shape(surprises)
    since = start - (fitted.ago - 1) * span
    if fitted.shape == "slope":
        return AlarmVerdict(shape="slope", since=since, cause="drift")
    near = [change for change in changes if since - NEAR * span <= change.at <= since + NEAR * span]
    if not near:
        return AlarmVerdict(shape="step", since=since, cause="unknown")
    closest = min(near, key=lambda change: (abs(change.at - since), change.what))
    return AlarmVerdict(shape="step", since=since, cause="bug", change=closest.what)
