"""What can go wrong when the search API is asked."""

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
