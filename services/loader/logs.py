"""Logs of the past, onto the topics of queries and events; judgements count them at their own time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from schemas.base import Message
from schemas.search import SearchEvent, SearchQuery
from services.loader.connecting import publishing
from services.loader.delivery import Delivery, DeliveryObserver, LoadTally, Made, batches
from services.loader.domain.history import HistoryMade, LogReader, RowReader, columns_of, is_event
from services.loader.domain.rows import FileRow, LineFault
from services.loader.request import FileFormat, LoadRequest
from services.loader.resume import LoadCheckpoint, LoadState, state_of
from services.loader.survey import FileSurvey, surveyed
from shared.kafka.client import require_cluster
from shared.kafka.partitioning import partition_of
from shared.records import Outgoing
from shared.settings import Settings

LogKind = type[SearchQuery | SearchEvent]
TOPICS = (SearchQuery.topic, SearchEvent.topic)


class LogObserver(DeliveryObserver, Protocol):
    """Who shows a log being loaded."""

    def opened(self, survey: FileSurvey, columns: Mapping[str, str]) -> None:
        """Take a file that is about to be read, and the column of each part of a row; none: it is UBI."""
        ...

    def resumed(self, state: LoadState) -> None:
        """Take where a load goes on that was begun before."""
        ...


@dataclass(slots=True)
class LogReport:
    """What came of a log."""

    tally: LoadTally = field(default_factory=LoadTally)
    damage: str = ""


@dataclass(frozen=True, slots=True)
class LogLoad:
    """A log to load: what it is of, and when the window of judgements begins."""

    request: LoadRequest
    kind: LogKind
    oldest: datetime

    def units(
        self, survey: FileSurvey, columns: Mapping[str, str], partitions: Mapping[str, int]
    ) -> Iterator[Made]:
        """Yield what a file's units become."""
        log = LogReader(self.kind, self.oldest)
        if not columns:
            for unit in survey.rows:
                if isinstance(unit, LineFault):
                    yield Made.of(unit)
                else:
                    yield _made(unit.line, log.read(unit), rows=1, partitions=partitions)
            return
        reader = RowReader(columns, self.request.source, log)
        for rows in reader.searches(survey.rows):
            if isinstance(rows, LineFault):
                yield Made.of(rows)
            else:
                yield _made(rows[0].line, reader.read(rows), rows=len(rows), partitions=partitions)

    def columns(self, survey: FileSurvey) -> Mapping[str, str]:
        """Return the column of each part of a row; none: the file has lines of UBI."""
        first = next((unit for unit in survey.first if isinstance(unit, FileRow)), None)
        if self.kind is SearchQuery:
            return {}
        if first is not None and survey.file.format is FileFormat.JSONL:
            values = first.values.get("_source", first.values)
            if is_event(values) or "user_query" in values or "index" in values:
                return {}
        return columns_of(list(survey.profile.columns), self.request.options.fields)


async def load_log(settings: Settings, load: LogLoad, observer: LogObserver) -> LogReport:
    """Write a log's queries or events; raises what `load_products` does."""
    cluster = await require_cluster(settings, TOPICS)
    partitions = {topic: cluster.topics[topic].partitions for topic in TOPICS}
    identities = (cluster.topics[topic].identity for topic in TOPICS)
    log = " ".join((cluster.cluster, *identities, load.kind.topic))
    report = LogReport()
    with state_of(load.request, settings.data_dir, log=log) as kept:
        async with publishing(settings) as publisher:
            before = kept.unfinished(restart=load.request.restart)
            if before is not None:
                observer.resumed(before)
            at = LoadCheckpoint(kept, before or LoadState(load_id=load.request.source, began_at=0))
            delivery = Delivery(publisher, observer, wait=load.request.wait)
            for name in load.request.files:
                with surveyed(name, load.request.options) as survey:
                    columns = load.columns(survey)
                    observer.opened(survey, columns)
                    units = load.units(survey, columns, partitions)
                    report.tally.add(await delivery.deliver(units, report.tally.units, at))
                    report.damage = report.damage or survey.content.damage
            if not report.damage:
                at.finish()
    return report


def check_log(load: LogLoad, observer: LogObserver) -> LogReport:
    """Read a log to its end, and write nothing."""
    report = LogReport()
    for name in load.request.files:
        with surveyed(name, load.request.options) as survey:
            columns = load.columns(survey)
            observer.opened(survey, columns)
            for portion in batches(load.units(survey, columns, dict.fromkeys(TOPICS, 1))):
                observer.faults(portion.faults)
                report.tally.add(portion.tally)
                observer.advanced(report.tally)
            report.damage = report.damage or survey.content.damage
    return report


def _made(line: int, made: HistoryMade, *, rows: int, partitions: Mapping[str, int]) -> Made:
    messages = [_outgoing(message, partitions) for message in made.messages]
    return Made(line, messages, made.faults, rows, passed=not messages and not made.faults)


def _outgoing(message: Message, partitions: Mapping[str, int]) -> Outgoing:
    key = message.key()
    place = partition_of(key, partitions[message.topic]) if key else None
    return Outgoing(message.topic, key, message.encode(), partition=place)
