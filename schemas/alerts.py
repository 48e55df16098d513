"""Alerts: what Headrace says when something breaks or drifts."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Literal, Self

from schemas.base import GenerationName, Identifier, Message, Score, Timestamp

KEY_LENGTH = 128
PAUSED = "paused"
"""The detector of alerts of what a worker waits for: the worker itself raises and ends them."""
TRIAL = "trial"
"""The detector of alerts of how a trial stands: the rollout worker raises and ends them."""


class Alert(Message):
    """One condition through its life: firing, updated, resolved; `alert_key` stays the same."""

    topic: ClassVar[str] = "alerts.v1"

    alert_key: Identifier
    """Stable: `<detector>:<subject>`, such as `canary-recall:g1:c-17` or `shard-missing:g1-3`."""
    status: Literal["firing", "updated", "resolved"]
    severity: Literal["info", "warning", "critical"]
    summary: str
    """One sentence for a person: what is wrong, with the figures."""
    cause: Literal["bug", "drift", "unknown"] = "unknown"
    """`bug`: a step after a change; `drift`: a slope."""
    action: str
    """What we recommend to do now."""
    evidence: Mapping[str, str | int | Score | tuple[str, ...]] = {}
    resolution: Literal["automatic", "manual"] = "automatic"
    """Who says that it is over: whoever raised it, or a person (`headrace alerts resolve KEY`)."""
    generation: GenerationName | None = None
    started_at: Timestamp
    updated_at: Timestamp

    def key(self) -> bytes:
        """Return the alert's key."""
        return self.alert_key.encode()

    def over(self, summary: str, now: datetime) -> Self:
        """Return it resolved: there is nothing to do any more."""
        change = {"status": "resolved", "summary": summary, "action": "nothing to do"}
        return self.model_copy(update={**change, "updated_at": max(now, self.updated_at)})


def alert_key(detector: str, subject: str) -> str:
    """Return `<detector>:<subject>`, stable, printable, at most 128 characters (a digest ends a cut one)."""
    plain = "".join(c if "!" <= c <= "~" else "_" for c in subject)
    key = f"{detector}:{plain}"
    if plain == subject and len(key) <= KEY_LENGTH:
        return key
    digest = hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{key[: KEY_LENGTH - 13]}-{digest}"
