"""What can go wrong; every message says what to do."""

from collections.abc import Mapping

from schemas.search_api import Problem
from shared.errors import PoisonError, TransientError


class SearchRefusedError(PoisonError):
    """The API takes this for no request, or not from us: `reason` is its code, `fix` says what to do."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.title, f"{problem.detail} ({problem.fix})")
        self.status = problem.status
        self.detail = problem.detail
        self.fix = problem.fix


class SearchUnavailableError(TransientError):
    """No answer this time: nobody there, too late, too busy, not ready, or not a search API of this version.

    `status` is None when there was no HTTP answer at all.
    """

    def __init__(self, reason: str, detail: str, *, fix: str, status: int | None = None) -> None:
        super().__init__(f"{detail} ({fix})")
        self.reason = reason
        self.detail = detail
        self.fix = fix
        self.status = status


class ChangeRefusedError(PoisonError):
    """A change is none, and was not sent: `index` counts from 0, `reason` is a code of `schemas.wire.errors`.

    `written` is how many changes before it are acknowledged, and `offsets` where they end.
    """

    def __init__(self, index: int, name: str, *, reason: str, explanation: str) -> None:
        super().__init__(reason, explanation)
        self.index = index
        self.name = name
        self.written = 0
        self.offsets: Mapping[int, int] = {}

    def __str__(self) -> str:
        before = f"the {self.written:,} changes before it are written" if self.written else "nothing was sent"
        return f"change {self.index} ({self.name}): {self.reason}: {self.explanation} ({before})"


class EventRefusedError(PoisonError):
    """An event is none, and was not sent."""


class NotWrittenError(TransientError):
    """The broker did not acknowledge in time: what is not `written` may or may not be there. Write it again.

    `written` is how many changes before are acknowledged, and `offsets` where they end.
    """

    def __init__(self, explanation: str, *, cause: str = "", fix: str = "") -> None:
        super().__init__(explanation, cause=cause, fix=fix)
        self.written = 0
        self.offsets: Mapping[int, int] = {}


class NotSearchableError(TransientError):
    """What was written is not searchable within the time limit; the message says what it waits for."""


class UnreadableError(PoisonError):
    """What lies there is no message of its topic, as this version knows it."""


class PositionGoneError(TransientError):
    """What was to be read next is not in the topic: retention removed it, or the topic was made anew."""
