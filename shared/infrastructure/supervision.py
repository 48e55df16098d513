"""What to do about a worker that ended: a pure decision, so that it can be tested without processes."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

CONFIGURATION = 2
"""Exit code of a worker whose configuration is wrong: another start cannot help."""


class RestartVerdict(StrEnum):
    """What to do."""

    LEAVE = "leave"
    """It ended on purpose."""
    RESTART = "restart"
    GIVE_UP = "give up"


@dataclass(frozen=True)
class Backoff:
    """Wait `first`, then twice as long each time, never more than `longest`; `calm` forgives the past."""

    first: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(seconds=30)
    calm: timedelta = timedelta(seconds=60)

    def delay(self, failures: int) -> timedelta:
        """Return the wait before the restart that follows failure number `failures` (from 1)."""
        return min(self.first * (1 << min(failures - 1, 16)), self.longest)


@dataclass(frozen=True)
class RestartDecision:
    """What to do, after which wait, and how many failures in a row that makes."""

    verdict: RestartVerdict
    delay: timedelta = timedelta(0)
    failures: int = 0


def decide(
    exit_code: int, *, uptime: timedelta, failures: int, backoff: Backoff | None = None
) -> RestartDecision:
    """Decide about a process that ended after `uptime`, having failed `failures` times in a row before."""
    backoff = backoff or Backoff()
    if exit_code == 0:
        return RestartDecision(RestartVerdict.LEAVE)
    if exit_code == CONFIGURATION:
        return RestartDecision(RestartVerdict.GIVE_UP)
    in_a_row = 1 if uptime >= backoff.calm else failures + 1
    return RestartDecision(RestartVerdict.RESTART, backoff.delay(in_a_row), in_a_row)
