"""What an operator asks for: that a source counts anew, and that a truncate deletes what it emptied."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from schemas.base import MILLISECOND, milliseconds
from schemas.catalogue import Acceptance, ProductChange
from schemas.control import OffsetRange
from schemas.wire.change import DecodedChange
from schemas.wire.stamps import APPEND, TOMBSTONE
from services.embedder.domain.accepted_source import SourceSurvey
from services.embedder.domain.truncation import Truncation
from shared.catalogue.acceptances import Accepted
from shared.catalogue.changes import ChangeReader, reading_of
from shared.clock import SystemClock
from shared.errors import ConfigurationError, PoisonError, SkippedError
from shared.kafka.client import require_topics
from shared.kafka.publisher import publish_once
from shared.kafka.topic_reader import TopicReader
from shared.ports import outgoing
from shared.records import Outgoing, Partition, Record
from shared.schema_registry.deserializer import SchemaDeserializer
from shared.settings import Settings
from shared.streaming.acceptance_log import read_acceptances

CHANGES = ProductChange.topic
PLACE = re.compile(r"(.+)-(\d{1,9}) ?@ ?(\d{1,19})")
SHOWN_LINES = 10


@dataclass(frozen=True, slots=True)
class Place:
    """Where a change lies."""

    partition: Partition
    offset: int

    @classmethod
    def of(cls, text: str) -> Self | None:
        """Read `catalogue.changes.v1-0@17`, also with spaces as alerts write it; None: it is none."""
        match = PLACE.fullmatch(text.strip())
        return None if match is None else cls(Partition(match[1], int(match[2])), int(match[3]))

    def __str__(self) -> str:
        return f"{self.partition}@{self.offset}"


class ChangeLog:
    """The changes on the bus, read by an installation's settings; what cannot be used is left out."""

    def __init__(self, settings: Settings) -> None:
        self.reader = ChangeReader(settings.catalogue.parts)
        self._settings = settings
        self._topics = TopicReader(settings, [CHANGES], damaged=[CHANGES])
        self._schemas = SchemaDeserializer.of(settings.registry, clock=SystemClock())
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connect; raises `TransientError` when the broker is away, or has not the topics."""
        await require_topics(self._settings, [CHANGES, Acceptance.topic])
        self._stack.push_async_callback(self._schemas.aclose)
        await self._stack.enter_async_context(self._topics)
        known = (await read_acceptances(self._settings)).known
        self.reader = ChangeReader(self._settings.catalogue.parts, known)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._stack.aclose()

    async def changes(self) -> AsyncIterator[DecodedChange]:
        """Yield every change that there is."""
        self._topics.rewind(CHANGES)
        async for record in self._topics.news():
            if (reading := await self._reading(record)) is not None:
                yield reading

    async def changes_since(self, moment: int) -> AsyncIterator[DecodedChange]:
        """Yield the changes that were appended then (milliseconds since 1970) or later, and some more."""
        async for record in self._topics.since(moment):
            if (reading := await self._reading(record)) is not None:
                yield reading

    async def _reading(self, record: Record) -> DecodedChange | None:
        try:
            return (await self._schemas.schemas_of([record])).decode(record, self.reader.read)
        except (PoisonError, SkippedError):
            return None

    async def record_at(self, place: Place) -> Record:
        """Return the record that lies there; raises `ConfigurationError` when there is none."""
        at, offset = place.partition, place.offset
        if at.topic != CHANGES or at not in self._topics.beginnings:
            raise ConfigurationError(f"{place}: there is no such partition of {CHANGES}")
        if offset < self._topics.beginnings[at]:
            raise ConfigurationError(f"{place} is gone: {at} begins at {self._topics.beginnings[at]}")
        one = OffsetRange(topic=at.topic, partition=at.number, start=offset, end=offset + 1)
        async for record in self._topics.within([one]):
            if record.offset == offset:
                return record
        raise ConfigurationError(f"{place} is no message, but the end of a transaction")

    async def check_held(self, since: datetime) -> None:
        """Raise `ConfigurationError` when the topic may have had more since then than it still holds."""
        for at, beginning in self._topics.beginnings.items():
            if beginning and await self._topics.offset_at(at, milliseconds(since)) == beginning:
                first = await self.record_at(Place(at, beginning))
                later = (first.timestamp + MILLISECOND).isoformat()
                raise ConfigurationError(
                    f"{at} no longer has its messages before offset {beginning}: accept from {later} on"
                )

    async def truncate_at(self, place: Place) -> tuple[Record, dict[str, object]]:
        """Return a truncate and its source block; raises `ConfigurationError` when there is none."""
        record = await self.record_at(place)
        schemas = await self._schemas.schemas_of([record])
        try:
            change = schemas.decode(record, reading_of).change
        except SkippedError as skipped:
            if skipped.kind == "truncate":
                return record, dict(skipped.source or {})
            raise ConfigurationError(f"{place} is no truncate, but a {skipped.kind}") from skipped
        except PoisonError as error:
            raise ConfigurationError(f"{place} is no truncate, and cannot be read: {error}") from error
        raise ConfigurationError(f"{place} is no truncate: it is a change of product {change.product_id!r}")


@dataclass(frozen=True, slots=True)
class AcceptanceReport:
    """What an acceptance means."""

    message: Acceptance
    survey: SourceSurvey
    known: bool
    """Whether there is this very one already."""


async def accept(
    settings: Settings, source: str, since: str, *, reason: str = "", dry_run: bool = False
) -> AcceptanceReport:
    """Accept a source anew from a time, or from the time of a change on; `dry_run`: only say what it means.

    Raises `ConfigurationError` for what cannot be meant.
    """
    now = SystemClock().now()
    async with ChangeLog(settings) as log:
        message = Acceptance(
            source=_source(source), since=await _moment(log, since), reason=reason, requested_at=now
        )
        if message.since > now:
            raise ConfigurationError(f"{message.since.isoformat()} is in the future")
        accepted, known = Accepted.by(message), log.reader.acceptances
        await log.check_held(message.since)
        survey = await _survey(log, accepted)
    if accepted not in known and not dry_run:
        await publish_once(settings, [outgoing(message)])
    return AcceptanceReport(message, survey, accepted in known)


async def _survey(log: ChangeLog, accepted: Accepted) -> SourceSurvey:
    """Return what the source has written since; raises `ConfigurationError` for one that never wrote."""
    log.reader = ChangeReader(log.reader.parts, log.reader.acceptances | {accepted})
    survey = SourceSurvey(accepted)
    async for reading in log.changes_since(accepted.since):
        survey.take(reading.change)
    if survey.changes:
        return survey
    lines: set[str] = set()
    async for reading in log.changes():
        line, *_ = reading.change.stamp
        if accepted.covers(line):
            return survey
        lines.add(line)
    shown = ", ".join(sorted(lines - {APPEND, TOMBSTONE})[:SHOWN_LINES])
    raise ConfigurationError(f"nothing was ever read of {accepted.source!r}; there is {shown or 'no source'}")


async def _moment(log: ChangeLog, text: str) -> datetime:
    """Return the time that is meant, or when a change was appended."""
    if (place := Place.of(text)) is not None:
        return (await log.record_at(place)).timestamp
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is no time like 2026-01-31T12:00:00Z, and no place like {CHANGES}-0@17"
        ) from error
    if moment.tzinfo is None:
        raise ConfigurationError(f"{text!r} does not say its time zone: {text}Z, or with an offset")
    return moment


def _source(text: str) -> str:
    source = text.rstrip("/")
    if not source or source in (APPEND, TOMBSTONE):
        raise ConfigurationError(f"{text!r} is no source: its changes are ordered by where they lie")
    return source


@dataclass(frozen=True, slots=True)
class TruncationReport:
    """What a truncate means: the deletes of the products that were in the table."""

    place: Place
    deletes: list[Outgoing]


async def delete_truncated(settings: Settings, place: Place, *, dry_run: bool = False) -> TruncationReport:
    """Delete the products that a truncate emptied its table of; `dry_run`: only say which.

    Raises `ConfigurationError` when there is no truncate.
    """
    async with ChangeLog(settings) as log:
        record, source = await log.truncate_at(place)
        truncation = Truncation(record, source, log.reader)
        truncation.check(SystemClock().now())
        async for reading in log.changes():
            truncation.take(reading)
    deletes = truncation.deletes()
    if deletes and not dry_run:
        await publish_once(settings, deletes)
    return TruncationReport(place, deletes)
