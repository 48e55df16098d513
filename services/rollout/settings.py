"""Configuration of the rollout worker: section `[rollout]`, environment `HEADRACE_ROLLOUT__...`."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

import shared.settings
from shared.section import Section
from shared.settings import Port


class RolloutSettings(Section):
    """When a generation counts as whole, and how often that is decided."""

    port: Port = 8870
    most_behind: Annotated[int, Field(ge=0)] = 100
    """Messages that embedder and shards of a generation that is ready may be behind."""
    look_every: timedelta = timedelta(milliseconds=500)
    """How often requests are answered, and the building looked at."""


class Settings(shared.settings.Settings):
    """Everything the rollout worker needs."""

    rollout: RolloutSettings = RolloutSettings()
