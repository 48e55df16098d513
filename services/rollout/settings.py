"""Configuration of the rollout worker: section `[rollout]`, environment `HEADRACE_ROLLOUT__...`."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

import shared.settings
from schemas.control import TrialTerms
from schemas.judgements import OBJECTIVE
from services.rollout.domain.trials.budget import BUDGET
from shared.section import Duration, Section
from shared.settings import Port

TERMS = TrialTerms()


class TrialSettings(Section):
    """How generations are tried beside the live one, when nobody says otherwise."""

    automatic: bool = False
    """Whether a model that its evaluation left undecided is built, and tried when it is ready, unasked."""
    share: Annotated[float, Field(gt=0, le=0.8)] = TERMS.share
    """Of the sessions, those that get interleaved answers."""
    days: Annotated[int, Field(ge=1, le=365)] = TERMS.days
    """After so long a trial ends in any case."""
    window: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=1))] = timedelta(
        seconds=TERMS.window_seconds
    )
    """After a session's first answer, until when what it does counts, in whole seconds."""
    promote: Literal["at once", "when asked"] = TERMS.promote
    """What becomes of a generation that shoppers prefer."""
    errors_a_year: Annotated[float, Field(gt=0, lt=0.5)] = BUDGET
    """The probability that the trials of a year promote one that is no better, all together."""
    margin: Duration = timedelta(seconds=30)
    """By how much clocks may differ: so much later than its window a session is closed."""

    def terms(self) -> TrialTerms:
        """Return the terms of somebody who names none."""
        window = self.window // timedelta(seconds=1)
        return TrialTerms(share=self.share, days=self.days, window_seconds=window, promote=self.promote)


class RolloutSettings(Section):
    """When a generation counts as whole, how often that is decided, and how one is tried."""

    port: Port = 8870
    most_behind: Annotated[int, Field(ge=0)] = 100
    """Messages that embedder and shards of a generation that is ready may be behind."""
    look_every: Duration = timedelta(milliseconds=500)
    """How often requests are answered, and the building looked at."""
    trials: TrialSettings = TrialSettings()


class BusinessSettings(Section):
    """Of the section `[judgements]`, what a trial goes by too."""

    model_config = ConfigDict(extra="ignore")

    objective: Mapping[str, Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]] = OBJECTIVE
    """What each action is worth to the business."""


class Settings(shared.settings.Settings):
    """Everything the rollout worker needs."""

    rollout: RolloutSettings = RolloutSettings()
    judgements: BusinessSettings = BusinessSettings()
