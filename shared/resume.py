"""Where to start reading: the state's own offset, unless the log no longer has it.

Two things can be wrong, and both are said aloud instead of jumped over: retention removed messages
that the state never saw (a hole), or the log ends before the state does (it was cut or made anew).
"""

from dataclasses import dataclass
from datetime import datetime

from schemas.alerts import Alert
from shared.records import Partition


@dataclass(frozen=True, slots=True)
class Hole:
    """Offsets `start` (inclusive) to `end` (exclusive) that the state will never see."""

    partition: Partition
    start: int
    end: int

    def alert(self, now: datetime, *, worker: str) -> Alert:
        """Return the alert that records this hole; nobody but a person can say that it is mended."""
        if self.end >= self.start:
            summary = (
                f"{self.end - self.start} messages of {self.partition} were gone before {worker} read them"
            )
            action = "lengthen the topic's retention; publish the missing messages again; then"
        else:
            summary = (
                f"{self.partition} ends at {self.end}, before the {self.start} that {worker} has applied"
            )
            action = "the topic was cut or made anew: check the broker's data, run `headrace verify`; then"
        key = f"offset-gap:{self.partition}:{self.start}"
        return Alert(
            alert_key=key,
            status="firing",
            severity="critical",
            summary=summary,
            cause="bug",
            action=f"{action} `headrace alerts resolve {key}`",
            resolution="manual",
            evidence={
                "topic": self.partition.topic,
                "partition": self.partition.number,
                "from": self.start,
                "to": self.end,
                "worker": worker,
            },
            started_at=now,
            updated_at=now,
        )


def resume(partition: Partition, *, stored: int | None, beginning: int, end: int) -> tuple[int, Hole | None]:
    """Return the offset to read next, and the hole between the state and it (if any)."""
    if stored is None:
        return beginning, None
    if stored < beginning:
        return beginning, Hole(partition, stored, beginning)
    if stored > end:
        return end, Hole(partition, stored, end)
    return stored, None
