"""The monitor's section of the configuration."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from services.monitor.domain.answers import WindowRule
from services.monitor.domain.drift.detector import Frame
from services.monitor.domain.drift.season import Season
from services.monitor.domain.drift.watch import Rule
from services.monitor.domain.life import Policy
from services.monitor.domain.schedule import Pace
from services.monitor.domain.shards import Objective
from services.monitor.domain.verdict import Rule as CanaryRule
from shared.settings import Port, Section
from shared.settings import Settings as Base


class DriftSettings(Section):
    """How drift is watched, and how often a false alarm is acceptable."""

    false_alarm_every: timedelta = timedelta(days=30)
    """The mean time between two false alarms of all signals together, while nothing drifts."""
    retrain: bool = False
    """Whether an alarm that recommends to retrain requests a training job, once."""
    window: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(hours=1)
    """What is judged at a time; an alarm takes two windows at least."""
    season: Season = "week"
    """What a window is compared with: the same hour of the week or of the day, or whatever came before."""
    memory: Annotated[int, Field(ge=2)] = 8
    """Windows of a season's slot that its usual value is the mean of."""
    learn: Annotated[int, Field(ge=20)] = 336
    """Windows compared before a signal may alarm: two weeks, after one in which the hours are first seen."""
    remember: Annotated[int, Field(ge=100)] = 2016
    """Windows that a new one is ranked among."""
    adopt_after: timedelta = timedelta(days=14)
    """What lasts so long is the new normal: the alarm ends and the signal is learned anew."""
    learn_words: timedelta = timedelta(days=14)
    """How long words are only learned before new ones are counted."""
    forget_words_after: timedelta = timedelta(days=56)
    threshold: float | None = None
    """Similarity below which a query's best product is a weak answer; absent: the one that was fitted with
    the generation's model, if any."""
    probes: Annotated[int, Field(ge=0, le=24)] = 12
    """Queries a window that are searched again with an exact scan."""
    documents: Annotated[int, Field(ge=0)] = 100
    """Products a window and shard, of those written in it, whose vectors are looked at."""
    grace: timedelta = timedelta(minutes=2)
    """How long after its end a window is judged."""
    every: timedelta = timedelta(seconds=10)
    alerts: Policy = Policy(fire_after=1, resolve_after=1)

    @property
    def rule(self) -> Rule:
        """Return the watch's part."""
        return Rule(
            false_alarm_every=self.false_alarm_every,
            window=self.window,
            adopt_after=self.adopt_after,
            learn_words=self.learn_words,
            forget_words_after=self.forget_words_after,
        )

    @property
    def frame(self) -> Frame:
        """Return the detectors' part."""
        return Frame(season=self.season, memory=self.memory, learn=self.learn, remember=self.remember)


class MonitorSettings(Section):
    """What is watched, how often, and from where on it is an alert."""

    port: Port = 8840
    search_url: str = "http://127.0.0.1:8800"
    """Where canaries are asked."""
    search_token: SecretStr = SecretStr("")
    """Sent as a bearer token when search asks for one."""
    search_timeout: timedelta = timedelta(seconds=5)
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Canary searches at a time."""
    pace: Pace = Pace()
    canary_rule: CanaryRule = CanaryRule()
    canary_alerts: Policy = Policy()
    reach_alerts: Policy = Policy(fire_after=3, lasting=timedelta(seconds=10))
    """Whether search can be reached: a search that is started again is no news."""
    grace: timedelta = timedelta(minutes=2)
    """How long what was never seen well may take to start, before that is an alert."""
    workers: frozenset[Literal["embedder", "judgements"]] = frozenset({"embedder", "judgements"})
    """Whose standstill is an alert; leave out what this installation does not run."""
    shards_every: timedelta = timedelta(seconds=5)
    shard_alerts: Policy = Policy(fire_after=4)
    objective: Objective = Objective()
    answers_every: timedelta = timedelta(seconds=30)
    answers_rule: WindowRule = WindowRule()
    answer_alerts: Policy = Policy()
    drift: DriftSettings = DriftSettings()


class Settings(Base):
    """The common settings and the monitor's."""

    monitor: MonitorSettings = MonitorSettings()
