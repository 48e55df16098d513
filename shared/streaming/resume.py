"""Where to start reading: the state's own offset, unless the log no longer has it.

Three things can be wrong, and all are said aloud instead of jumped over: retention removed messages that the
state never saw (an offset gap); the log ends before the state does (the broker lost its end); the topic was
deleted and made anew, so that its offsets are others.
"""

from dataclasses import dataclass
from datetime import datetime

from schemas.alerts import Alert
from schemas.index import IndexRecord
from schemas.topics import is_external
from shared.records import Partition

_THEIRS = (
    "nothing if it was meant: what is stored stays, and what is read counts by its version; delete by "
    "messages what the new topic has no more"
)
_OURS = (
    "what it had is still served, but is not on the bus any more. To write it again, in this order: stop all "
    "workers; delete the topic {topic} once more, so that it is empty; `{apply}`; `headrace adopt`, which "
    "empties our namespace of Redis; start the workers, which make everything again from the other topics"
)


@dataclass(frozen=True, slots=True)
class OffsetGap:
    """Offsets `start` (inclusive) to `end` (exclusive) that the state will never see."""

    partition: Partition
    start: int
    end: int

    def alert(self, now: datetime, *, worker: str) -> Alert:
        """Return the alert that records this gap; nobody but a person can say that it is mended."""
        if self.end >= self.start:
            summary = (
                f"{self.end - self.start} messages of {self.partition} were gone before {worker} read them"
            )
            action = "lengthen the topic's retention; publish the missing messages again; then"
        else:
            summary = (
                f"{self.partition} ends at {self.end}, before the {self.start} that {worker} has applied"
            )
            action = "the broker lost messages, or the topic is another one: run `headrace verify`; then"
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


@dataclass(frozen=True, slots=True)
class ReplacedLog:
    """The topic was deleted and made anew: the state ends at `end` of the one before."""

    partition: Partition
    end: int
    new_end: int
    identity: str
    """Of the topic that is there now."""

    def alert(self, now: datetime, *, worker: str) -> Alert:
        """Return the alert of it: one a topic, whoever reads it."""
        topic, number = self.partition
        key = f"topic-made-anew:{topic}:{self.identity[:8]}"
        return Alert(
            alert_key=key,
            status="firing",
            severity="warning",
            summary=f"{topic} was deleted and made anew, and is read from its beginning: {worker} was at "
            f"{self.end} of partition {number}, which now ends at {self.new_end}",
            cause="bug",
            action=f"{_way_out(topic)}; then `headrace alerts resolve {key}`",
            resolution="manual",
            evidence={
                "topic": topic,
                "partition": number,
                "end": self.end,
                "new_end": self.new_end,
                "identity": self.identity,
                "worker": worker,
            },
            started_at=now,
            updated_at=now,
        )


def _way_out(topic: str) -> str:
    if is_external(topic):
        return _THEIRS
    _, of_generation, generation = topic.partition(f"{IndexRecord.topic}.")
    apply = f"HEADRACE_GENERATION={generation} " * bool(of_generation) + "headrace topics apply"
    return _OURS.format(topic=topic, apply=apply)


def producer_time(topic: str, now: datetime) -> Alert:
    """Return the alert of a topic that others write and that keeps their clocks' times."""
    return Alert(
        alert_key=f"producer-time:{topic}",
        status="firing",
        severity="info",
        summary=f"{topic} keeps the time that its producers claim, where the order of the broker's counts",
        cause="bug",
        action=f"`headrace topics apply` sets `message.timestamp.type=LogAppendTime`; then "
        f"`headrace alerts resolve producer-time:{topic}`",
        resolution="manual",
        evidence={"topic": topic},
        started_at=now,
        updated_at=now,
    )


def resume(
    partition: Partition, *, stored: int | None, beginning: int, end: int, known: bool = True
) -> tuple[int, OffsetGap | None]:
    """Return the offset to read next, and the gap between the state and it (if any).

    `known` says that this is the very log that the state is of; otherwise a log that ends before the state
    is taken for another one, and read from its beginning.
    """
    if stored is None:
        return beginning, None
    if stored < beginning:
        return beginning, OffsetGap(partition, stored, beginning)
    if stored > end:
        return end if known else beginning, OffsetGap(partition, stored, end)
    return stored, None
