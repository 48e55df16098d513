"""What can go wrong, and what the partition loop does about it.

HeadraceError
  + TransientError      retry the partition's batch with back-off; other partitions go on
  + PoisonError         dead-letter the message with its reason code, go on
  + FatalError          stop the process; state and offset stay as they were
    + FencedError       a newer owner holds the epoch
    + ConfigurationError

Anything else that is raised is unknown, and stops the process like a FatalError.
"""


class HeadraceError(Exception):
    """The root of everything Headrace raises on purpose."""


class TransientError(HeadraceError):
    """It may work in a moment: a broker, Redis or a neighbour is away."""


class PoisonError(HeadraceError):
    """This message can never be used; `reason` is a short stable code such as `json.invalid`."""

    def __init__(self, reason: str, explanation: str) -> None:
        super().__init__(f"{reason}: {explanation}")
        self.reason = reason
        self.explanation = explanation


class FatalError(HeadraceError):
    """Going on would lose or corrupt something: stop and let an operator look."""


class FencedError(FatalError):
    """State refused a write because a newer owner holds the epoch."""


class ConfigurationError(FatalError):
    """A setting is wrong; the message says which, and what to do."""
