"""The section of drift: `[monitor.drift]`. What its domain decides by has its defaults there."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from services.monitor.alerts.domain.state import AlertPolicy
from services.monitor.drift.domain.rules import DetectorRule, DriftRule, Season
from shared.section import Duration, Section


class DriftSettings(Section):
    """How drift is watched, and how often a false alarm is acceptable."""

    false_alarm_every: Duration = DriftRule.false_alarm_every
    """The mean time between two false alarms of all signals together, while nothing drifts."""
    retrain: bool = False
    """Whether an alarm that recommends to retrain requests a training job, once."""
    window: Annotated[Duration, Field(gt=timedelta(0))] = DriftRule.window
    """What is judged at a time; an alarm takes two windows at least."""
    season: Season = DetectorRule.season
    """What a window is compared with: the same hour of the week or of the day, or whatever came before."""
    memory: Annotated[int, Field(ge=2)] = DetectorRule.memory
    """Windows of a season's slot that its baseline is the mean of."""
    learn: Annotated[int, Field(ge=20)] = DetectorRule.learn
    """Windows compared before a signal may alarm: two weeks, after one in which the hours are first seen."""
    remember: Annotated[int, Field(ge=100)] = DetectorRule.remember
    """Windows that a new one is ranked among."""
    adopt_after: Duration = DriftRule.adopt_after
    """What lasts so long is the new normal: the alarm ends and the signal is learned anew."""
    learn_words: Duration = DriftRule.learn_words
    """How long words are only learned before new ones are counted."""
    forget_words_after: Duration = DriftRule.forget_words_after
    threshold: float | None = None
    """Similarity below which a query's best product is a weak answer; absent: the one that was fitted with
    the generation's model, if any."""
    probes: Annotated[int, Field(ge=0, le=24)] = 12
    """Queries a window that are searched again with an exact scan."""
    documents: Annotated[int, Field(ge=0)] = 100
    """Products a window and shard, of those written in it, whose vectors are looked at."""
    grace: Duration = timedelta(minutes=2)
    """How long after its end a window is judged."""
    every: Duration = timedelta(seconds=10)
    alerts: AlertPolicy = AlertPolicy(fire_after=1, resolve_after=1)

    @property
    def rule(self) -> DriftRule:
        """Return the state machine's part."""
        return DriftRule(
            false_alarm_every=self.false_alarm_every,
            window=self.window,
            adopt_after=self.adopt_after,
            learn_words=self.learn_words,
            forget_words_after=self.forget_words_after,
        )

    @property
    def detector_rule(self) -> DetectorRule:
        """Return the detectors' part."""
        return DetectorRule(season=self.season, memory=self.memory, learn=self.learn, remember=self.remember)
