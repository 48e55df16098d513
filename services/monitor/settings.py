"""The monitor's section of the configuration."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from services.monitor.domain.answers import WindowRule
from services.monitor.domain.life import Policy
from services.monitor.domain.schedule import Pace
from services.monitor.domain.shards import Objective
from services.monitor.domain.verdict import Rule
from shared.settings import Port, Section
from shared.settings import Settings as Base


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
    canary_rule: Rule = Rule()
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


class Settings(Base):
    """The common settings and the monitor's."""

    monitor: MonitorSettings = MonitorSettings()
