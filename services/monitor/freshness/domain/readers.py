"""Does every worker read what it works by, and get on: from what the readers announce."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Protocol

from schemas.alerts import alert_key
from services.monitor.alerts.domain.observation import Observation
from services.monitor.freshness.domain.movement import Movement
from services.monitor.freshness.domain.work import ExpectedWork

STANDSTILL = "standstill"
TopicPartition = tuple[str, int]
"""A topic and a partition."""


class ReaderStatus(Protocol):
    """What a reader of one partition announces of itself."""

    @property
    def instance(self) -> str: ...  # noqa: D102 - named by the registry
    @property
    def topic(self) -> str: ...  # noqa: D102
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def partitions(self) -> int: ...  # noqa: D102
    @property
    def next_offset(self) -> int | None: ...  # noqa: D102
    @property
    def end_offset(self) -> int: ...  # noqa: D102
    @property
    def uncommitted(self) -> int: ...  # noqa: D102


def positions(work: ExpectedWork, readers: Iterable[ReaderStatus]) -> dict[TopicPartition, int | None]:
    """Return how far each partition is read."""
    return {partition: reader.next_offset for partition, reader in _decisive(work, readers).items()}


def standstill(
    work: ExpectedWork,
    readers: Iterable[ReaderStatus],
    moves: Mapping[TopicPartition, Movement],
    *,
    partitions: int,
    before: datetime,
) -> Observation:
    """Say whether a partition has no reader, or one that has not moved since `before` and has work to do.

    The readers know how many partitions there are; while there is none, `partitions` of work that is shared
    out are expected.
    """
    decisive = _decisive(work, readers)
    expected = partitions if work.shared_out else 1
    total = max((reader.partitions for reader in decisive.values()), default=expected)
    missing = sorted(set(range(total)) - {number for _, number in decisive})
    stuck = {
        partition: reader
        for partition, reader in decisive.items()
        if _has_work(reader) and partition in moves and moves[partition].since <= before
    }
    lag = sum(reader.end_offset - (reader.next_offset or 0) for reader in decisive.values())
    faults = [*_unowned(work, missing), *_behind(work, stuck)]
    return Observation(
        key=alert_key(STANDSTILL, work.reading),
        breached=bool(faults),
        severity=work.severity,
        summary=f"{_consequence(work, missing=bool(missing))}: {'; '.join(faults)}"
        if faults
        else f"{work.what} are being {work.done}, {lag:,} to go",
        action=_action(work, missing=bool(missing), stuck=stuck.values()),
        evidence={
            "worker": work.worker,
            "partitions": total,
            "without_reader": tuple(map(str, missing)),
            "not_moving": tuple(f"{topic}-{number}" for topic, number in sorted(stuck)),
            "instances": tuple(sorted({reader.instance for reader in stuck.values()})),
            "lag": lag,
        },
        signature=f"{missing} {sorted(stuck)}",
        generation=work.generation,
    )


def numbers(partitions: Iterable[int]) -> str:
    """Return sorted numbers as people write them: `0-3, 7`."""
    runs: list[list[int]] = []
    for number in partitions:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _decisive(work: ExpectedWork, readers: Iterable[ReaderStatus]) -> dict[TopicPartition, ReaderStatus]:
    """Return the reader of each partition that counts.

    Of one that is shared out it is the furthest: while one hands over to another there are two. Where every
    process must read it, it is the last.
    """
    ascending = sorted(readers, key=_offset, reverse=not work.shared_out)
    return {(reader.topic, reader.partition): reader for reader in ascending}


def _has_work(reader: ReaderStatus) -> bool:
    return reader.next_offset is None or reader.next_offset < reader.end_offset or reader.uncommitted > 0


def _offset(reader: ReaderStatus) -> int:
    return -1 if reader.next_offset is None else reader.next_offset


def _consequence(work: ExpectedWork, *, missing: bool) -> str:
    if work.unheard and not missing:
        return work.unheard
    return f"{work.what} are not being {work.done}"


def _unowned(work: ExpectedWork, missing: list[int]) -> list[str]:
    if not missing:
        return []
    if not work.shared_out:
        return [f"there is no {work.worker} worker that is ready"]
    return [f"no {work.worker} owns partition{'s' if len(missing) > 1 else ''} {numbers(missing)}"]


def _behind(work: ExpectedWork, stuck: Mapping[TopicPartition, ReaderStatus]) -> list[str]:
    faults = []
    for (topic, number), reader in sorted(stuck.items()):
        if reader.next_offset is None:
            faults.append(f"{work.worker} is still taking over {topic}-{number}")
        elif reader.next_offset >= reader.end_offset:
            faults.append(
                f"{reader.uncommitted:,} offsets of {topic}-{number} wait for a producer that has not ended "
                f"its transaction at {reader.end_offset}"
            )
        else:
            lag = reader.end_offset - reader.next_offset
            faults.append(f"{work.worker} is {lag:,} messages behind in {topic}-{number} and not moving")
    return faults


def _action(work: ExpectedWork, *, missing: bool, stuck: Collection[ReaderStatus]) -> str:
    if missing:
        return (
            f"start the {work.worker} worker (`headrace up`, or scale its deployment up); if it ended by "
            "itself, the last line of its log says why; if this installation is to have none, leave it out "
            "of monitor.freshness.workers"
        )
    if stuck and all(reader.next_offset == reader.end_offset for reader in stuck):
        return (
            "have the producer end its transaction; the broker aborts it after the producer's "
            "transaction.timeout.ms, and one that hangs for longer is found and ended by "
            "`kafka-transactions.sh find-hanging` and `abort`"
        )
    if stuck:
        return (
            f"look at the {work.worker} worker: its log and headrace_retries_total on its port say what it "
            "waits for; it may be restarted at any time, state and offset stay as they are"
        )
    return "nothing to do"
