"""The judgements' section of the configuration."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from services.judgements.domain.rules import ACTIONS, ATTRIBUTION, ROBOT_MARKS, JoinRules
from services.judgements.domain.statistics import BusinessObjective
from shared.section import Duration, Section
from shared.settings import Port
from shared.settings import Settings as Base

RETENTION_DAYS = JoinRules.retention.days
"""Of the topics of queries, events and outcomes: what a rebuild can still read."""

Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class JudgementSettings(Section):
    """What counts, for how long, and what it is worth."""

    port: Port = 8830
    window_days: Annotated[int, Field(ge=1, le=RETENTION_DAYS)] = 30
    """A judgement sums this many days (UTC), today included."""
    grace: Duration = JoinRules.grace
    """Events that come later than this after the newest of their partition do not count."""
    actions: Mapping[str, str] = {}
    """UBI `action_name` to counted action, beside the built-in ones; an empty action does not count."""
    keep_unknown_actions: bool = JoinRules.keep_unknown_actions
    """Count an `action_name` that is not known under its own name."""
    attribution: Mapping[str, Duration] = {}
    """How long after its query an action is still owed to it, beside the built-in ones."""
    impressions: Literal["response", "events"] = JoinRules.impressions
    """What was shown: the answers in the queries, or `impression` events only."""
    depth: Annotated[int, Field(ge=1, le=1000)] = JoinRules.depth
    """How many products of an answer count as shown."""
    robot_marks: str = ROBOT_MARKS
    """Regular expression found in a robot's client, user or application id (lower case); empty: none."""
    robot_events_per_hour: Annotated[int, Field(ge=0)] = JoinRules.robot_events
    """A shopper's events beyond this, in one partition, are a robot's; 0: no limit."""
    robot_queries_per_hour: Annotated[int, Field(ge=0)] = JoinRules.robot_queries
    salt: SecretStr = SecretStr(JoinRules.salt.decode())
    """Key of the hash that stands for a shopper in `search.outcomes`."""
    objective: Mapping[str, Weight] = BusinessObjective().weights
    """What each action is worth to the business."""
    prior: Annotated[float, Field(gt=0, le=100_000)] = BusinessObjective().prior
    """`w`: how many expected actions weigh as much as what the ranking says of a product."""

    @model_validator(mode="after")
    def _marks_compile(self) -> Self:
        try:
            re.compile(self.robot_marks)
        except re.error as error:
            raise ValueError(f"robot_marks is not a regular expression: {error}") from error
        return self

    def rules(self) -> JoinRules:
        """Return the rules of admission and join."""
        actions = {name: action for name, action in {**ACTIONS, **self.actions}.items() if action}
        return JoinRules(
            actions=actions,
            keep_unknown_actions=self.keep_unknown_actions,
            attribution={**ATTRIBUTION, **self.attribution},
            impressions=self.impressions,
            depth=self.depth,
            grace=self.grace,
            robot_marks=re.compile(self.robot_marks) if self.robot_marks else None,
            robot_events=self.robot_events_per_hour,
            robot_queries=self.robot_queries_per_hour,
            salt=self.salt.get_secret_value().encode()[:64],
        )

    def business_objective(self) -> BusinessObjective:
        """Return the objective."""
        return BusinessObjective(weights=dict(self.objective), prior=self.prior)


class Settings(Base):
    """The common settings and the judgements'."""

    judgements: JudgementSettings = JudgementSettings()
