"""What can go wrong, and what the partition loop does about it.

HeadraceError
  + TransientError      retry the partition's batch with back-off; other partitions go on
  + PoisonError         dead-letter the message with its reason code, go on
  + SkippedError        count the message, go on
  + RewindError         take the partition over again, and read on where its state ends
  + FatalError          stop the process; state and offset stay as they were
    + FencedError       a newer owner holds the epoch
    + LogReplacedError  state is of another log of that name: the topic was deleted and made anew
    + StateLostError    state is older than we left it: only the topics still have the difference
      + StateGoneError  there is no state at all any more
    + ConfigurationError
      + AbsentError       what a setting names is not there; it may come, when a share is mounted

Anything else that is raised is unknown, and stops the process like a FatalError.
"""

from collections.abc import Mapping
from typing import NamedTuple


class HeadraceError(Exception):
    """The root of everything Headrace raises on purpose."""


class TransientError(HeadraceError):
    """It may work in a moment: a broker, Redis, a disk or a neighbour is away, or refuses.

    `cause` is a short stable code of what is wrong, such as `redis.full`, where a person can do something
    about it; `fix` says what.
    """

    def __init__(self, explanation: str = "", *, cause: str = "", fix: str = "") -> None:
        super().__init__(f"{explanation}: {fix}" if fix else explanation)
        self.explanation = explanation
        self.cause = cause
        self.fix = fix


class Trouble(NamedTuple):
    """What the trouble of a broker, Redis or disk is: a stable code, in words, and what to do."""

    cause: str
    what: str
    fix: str

    def pause(self, explanation: str) -> TransientError:
        """Return the pause that it is, in these words."""
        return TransientError(explanation, cause=self.cause, fix=self.fix)


class PoisonError(HeadraceError):
    """This message can never be used; `reason` is a short stable code such as `json.invalid`."""

    def __init__(self, reason: str, explanation: str) -> None:
        super().__init__(f"{reason}: {explanation}")
        self.reason = reason
        self.explanation = explanation


class RewindError(HeadraceError):
    """The state no longer ends where the reader is: it was lost, and what is missing is read again."""


class SkippedError(HeadraceError):
    """This message is none for us, and nobody did anything wrong: `kind` says what it is.

    `source` says where in its database it was made, if it says so.
    """

    def __init__(self, kind: str, source: Mapping[str, object] | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.source = source


class FatalError(HeadraceError):
    """Going on would lose or corrupt something: stop and let an operator look."""


class FencedError(FatalError):
    """State refused a write because a newer owner holds the epoch."""

    @classmethod
    def of(cls, state: object, *, stored: int | str, ours: int) -> "FencedError":
        """Return the error of a former owner, or leader: its one text."""
        return cls(f"{state}: a newer owner holds it with epoch {stored}, ours is {ours}")


class LogReplacedError(FatalError):
    """State ends at `offset` of another log of this name: its topic, `identity`, was made anew."""

    def __init__(self, state: object, *, identity: str, offset: int) -> None:
        super().__init__(f"{state} ends at offset {offset} of a topic {identity} that was made anew since")
        self.identity = identity
        self.offset = offset


class StateLostError(FatalError):
    """State refused a write because it is older than we left it: Redis came back with older data."""


class StateGoneError(StateLostError):
    """State refused a write because it is gone: Redis was emptied, or evicted it."""


class ConfigurationError(FatalError):
    """A setting is wrong; the message says which, and what to do."""


class AbsentError(ConfigurationError):
    """What a setting names is not there, or cannot be read: whoever can wait looks again in a while."""
