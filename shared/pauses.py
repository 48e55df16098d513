"""What this process waits for: who cannot go on, and why. One list a process, like its metrics."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.errors import TransientError


class Pause(NamedTuple):
    """One cause, as the one who met it last says it, and everybody who waits for it."""

    error: TransientError
    waiting: Sequence[str]


class Pauses:
    """Who waits for what. Trouble without a cause (`TransientError.cause`) is none of a person's business."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[str, TransientError]] = {}

    def begin(self, who: object, name: str, error: TransientError) -> None:
        """Note that `who`, called `name`, cannot go on because of this; it may be said again and again."""
        if error.cause:
            self._waiting[id(who)] = (name, error)
        else:
            self.end(who)

    def end(self, who: object) -> None:
        """Note that it goes on, or has stopped."""
        self._waiting.pop(id(who), None)

    def by_cause(self) -> dict[str, Pause]:
        """Return what is waited for, by cause."""
        names: dict[str, set[str]] = {}
        errors = dict[str, TransientError]()
        for name, error in list(self._waiting.values()):
            names.setdefault(error.cause, set()).add(name)
            errors[error.cause] = error
        return {cause: Pause(errors[cause], sorted(names[cause])) for cause in sorted(errors)}


pauses = Pauses()
"""Those of this process."""
