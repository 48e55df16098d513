"""Does anybody read the hot topics, and do they get on: from what the loops announce."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.monitor.domain.movement import Movement
from services.monitor.domain.observation import Observation, alert_key

STANDSTILL = "standstill"
Place = tuple[str, int]
"""A topic and a partition."""


class Reader(Protocol):
    """What a reader of one partition announces of itself."""

    @property
    def topic(self) -> str: ...  # noqa: D102 - named by the registry
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def partitions(self) -> int: ...  # noqa: D102
    @property
    def next_offset(self) -> int | None: ...  # noqa: D102
    @property
    def end_offset(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Something that a worker does all the time: the name of its loop, and what it means to the shop."""

    reading: str
    worker: str
    what: str
    """"catalogue changes are ... embedded"; what goes in between says how well."""
    done: str
    generation: str | None = None


def works(workers: Iterable[str], generations: Iterable[str]) -> list[Work]:
    """Return what these workers should be doing."""
    embedding = [
        Work(
            reading=f"embedder-{generation}",
            worker="embedder",
            what="catalogue changes",
            done="embedded",
            generation=generation,
        )
        for generation in generations
    ]
    judging = [
        Work(
            reading="judgements-join",
            worker="judgements",
            what="shoppers' events",
            done="joined to their queries",
        ),
        Work(reading="judgements-window", worker="judgements", what="outcomes", done="counted"),
    ]
    expected = set(workers)
    return [work for work in (*embedding, *judging) if work.worker in expected]


def positions(readers: Iterable[Reader]) -> dict[Place, int | None]:
    """Return how far each partition is read."""
    return {place: reader.next_offset for place, reader in _best(readers).items()}


def standstill(
    work: Work,
    readers: Iterable[Reader],
    moved: Mapping[Place, Movement],
    *,
    partitions: int,
    before: datetime,
) -> Observation:
    """Say whether a partition has no reader, or one that has not moved since `before` and has work to do."""
    best = _best(readers)
    total = max([partitions, *(reader.partitions for reader in best.values())])
    missing = sorted(set(range(total)) - {number for _, number in best})
    stuck = {
        place: reader
        for place, reader in best.items()
        if (reader.next_offset is None or reader.next_offset < reader.end_offset)
        and place in moved
        and moved[place].since <= before
    }
    lag = sum(reader.end_offset - (reader.next_offset or 0) for reader in best.values())
    faults = [*_nobody(work, missing), *_behind(work, stuck)]
    return Observation(
        key=alert_key(STANDSTILL, work.reading),
        breached=bool(faults),
        severity="critical",
        summary=(
            f"{work.what} are not being {work.done}: {'; '.join(faults)}"
            if faults
            else f"{work.what} are being {work.done}, {lag:,} to go"
        ),
        action=_action(work, missing=bool(missing), stuck=bool(stuck)),
        evidence={
            "worker": work.worker,
            "partitions": total,
            "without_reader": tuple(map(str, missing)),
            "not_moving": tuple(f"{topic}-{number}" for topic, number in sorted(stuck)),
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


def _best(readers: Iterable[Reader]) -> dict[Place, Reader]:
    """Return the reader of each partition that is furthest: while one hands over to another there are two."""
    best: dict[Place, Reader] = {}
    for reader in readers:
        place = (reader.topic, reader.partition)
        if place not in best or _offset(reader) > _offset(best[place]):
            best[place] = reader
    return best


def _offset(reader: Reader) -> int:
    return -1 if reader.next_offset is None else reader.next_offset


def _nobody(work: Work, missing: list[int]) -> list[str]:
    if not missing:
        return []
    return [f"no {work.worker} owns partition{'s' if len(missing) > 1 else ''} {numbers(missing)}"]


def _behind(work: Work, stuck: Mapping[Place, Reader]) -> list[str]:
    told = []
    for (topic, number), reader in sorted(stuck.items()):
        if reader.next_offset is None:
            told.append(f"{work.worker} is still taking over {topic}-{number}")
        else:
            lag = reader.end_offset - reader.next_offset
            told.append(f"{work.worker} is {lag:,} messages behind in {topic}-{number} and not moving")
    return told


def _action(work: Work, *, missing: bool, stuck: bool) -> str:
    if missing:
        return (
            f"start the {work.worker} worker (`headrace up`, or scale its deployment up); if it ended by "
            "itself, the last line of its log says why"
        )
    if stuck:
        return (
            f"look at the {work.worker} worker: its log and headrace_retries_total on its port say what it "
            "waits for; it may be restarted at any time, state and offset stay as they are"
        )
    return "nothing to do"
