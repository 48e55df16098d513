"""How the process of a job ends, and what becomes of the job then."""

from enum import IntEnum
from typing import Literal


class Exit(IntEnum):
    """The exit code of a process that is not killed."""

    DONE = 0
    REFUSED = 2
    """It cannot be done, and not by another try either."""
    RETRY_LATER = 75
    """Something was away: the broker, say (EX_TEMPFAIL)."""


def status_after(exit_code: int) -> Literal["succeeded", "requested", "failed"]:
    """Return the job's status; it is requested again when the process was killed (a negative code)."""
    if exit_code == Exit.DONE:
        return "succeeded"
    return "requested" if exit_code < 0 or exit_code == Exit.RETRY_LATER else "failed"
