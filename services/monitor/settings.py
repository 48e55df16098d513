"""The monitor's section of the configuration: how it reaches search, and a section a feature."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, SecretStr, model_validator

from services.monitor.alerts.settings import AlertSettings
from services.monitor.answers.settings import AnswerSettings
from services.monitor.canaries.settings import CanarySettings
from services.monitor.drift.settings import DriftSettings
from services.monitor.freshness.settings import FreshnessSettings
from services.monitor.negatives.settings import NegativePrecisionSettings
from shared.section import Duration, Section
from shared.settings import Port
from shared.settings import Settings as Base

RENAMED: Mapping[str, str] = {
    "grace": "alerts.grace",
    "pace": "canaries.pace",
    "canary_rule": "canaries.rule",
    "canary_alerts": "canaries.alerts",
    "reach_alerts": "canaries.reach_alerts",
    "answers_every": "answers.every",
    "answers_rule": "answers.rule",
    "answer_alerts": "answers.alerts",
    "shards_every": "freshness.every",
    "shard_alerts": "freshness.alerts",
    "objective": "freshness.objective",
    "workers": "freshness.workers",
}
"""Settings that were called otherwise before each feature had its section."""


class MonitorSettings(Section):
    """What is watched, how often, and from where on it is an alert."""

    port: Port = 8840
    search_url: str = "http://127.0.0.1:8800"
    """Where canaries and probes are asked."""
    search_token: SecretStr = SecretStr("")
    """Sent as a bearer token when search asks for one."""
    search_timeout: Duration = timedelta(seconds=5)
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Canaries and probes that are asked at a time."""
    alerts: AlertSettings = AlertSettings()
    canaries: CanarySettings = CanarySettings()
    answers: AnswerSettings = AnswerSettings()
    freshness: FreshnessSettings = FreshnessSettings()
    drift: DriftSettings = DriftSettings()
    negatives: NegativePrecisionSettings = NegativePrecisionSettings()

    @model_validator(mode="before")
    @classmethod
    def _name_the_new_name(cls, given: Any) -> Any:  # Any: whatever was configured
        """Refuse an old name with the new one; "extra inputs are not permitted" would not help anybody."""
        old = sorted(RENAMED.keys() & given.keys()) if isinstance(given, Mapping) else []
        if old:
            raise ValueError(
                "; ".join(f"monitor.{name} is called monitor.{RENAMED[name]} now" for name in old)
            )
        return given


class Settings(Base):
    """The common settings and the monitor's."""

    monitor: MonitorSettings = MonitorSettings()
