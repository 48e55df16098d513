"""What a detector saw once, breached or not: the only thing that moves an alert."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from schemas.base import GenerationName, Identifier, Score

Severity = Literal["info", "warning", "critical"]
Cause = Literal["bug", "drift", "unknown"]
Evidence = Mapping[str, str | int | Score | tuple[str, ...]]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


class Observation(BaseModel):
    """One look of one detector at one subject.

    `signature` is the coarse form of what was seen: an open alert is updated when it changes, and not
    when a figure moves in its last digit. `final` closes the alert without waiting for a second look (its
    subject is gone).
    """

    model_config = ConfigDict(frozen=True)

    key: Identifier
    breached: bool
    severity: Severity = "warning"
    summary: str
    action: str
    cause: Cause = "unknown"
    evidence: Evidence = {}
    signature: str = ""
    generation: GenerationName | None = None
    final: bool = False
