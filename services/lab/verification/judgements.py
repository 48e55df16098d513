"""The published judgements against a recount of all queries and events, and against their own figures."""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pydantic import ValidationError

from schemas.base import milliseconds
from schemas.judgements import Judgement
from schemas.search import SearchEvent, SearchQuery
from schemas.topics import DEAD_LETTER_SUFFIX
from services.judgements.domain.counts import first_day
from services.judgements.domain.join import day_of
from services.judgements.domain.recount import RecountMessage, differences, recount, underived
from services.judgements.join import LOGS, QUERY_LOGS, query_of, searched
from services.judgements.settings import Settings
from services.lab.verification.letters import Letters
from services.lab.verification.verdict import (
    VerificationResult,
    held_back,
    retention_gaps,
    settled,
    strangers,
)
from shared.clock import SystemClock
from shared.errors import PoisonError
from shared.kafka.topic_reader import TopicReader
from shared.ports import Clock
from shared.records import Partition, Record
from shared.schema_registry.deserializer import NO_SCHEMAS, BatchSchemas, SchemaDeserializer
from shared.streaming.repartition import home_of, is_forwarded, original

SOURCES = (SearchQuery.topic, SearchEvent.topic)


@dataclass(slots=True)
class Shopping:
    """What was asked and done, and what was published of it, as read so far."""

    homes: int = 1
    queries: list[RecountMessage] = field(default_factory=list)
    events: list[RecountMessage] = field(default_factory=list)
    judgements: dict[bytes, Judgement] = field(default_factory=dict)
    letters: Letters = field(default_factory=Letters)
    oldest: dict[Partition, datetime] = field(default_factory=dict)
    """When the first message that is left was written."""
    misplaced: set[tuple[Partition, int]] = field(default_factory=set)
    """Where messages lie that are at home elsewhere."""
    forwarded: set[tuple[Partition, int]] = field(default_factory=set)
    """Where those lay that were forwarded."""

    strange: list[str] = field(default_factory=list)
    """Where judgements lie that cannot be read."""

    def take(self, record: Record, schemas: BatchSchemas = NO_SCHEMAS) -> None:
        """Take one record of any of the topics; `schemas` are those that it names."""
        topic = record.partition.topic
        if topic == Judgement.topic:
            self._publish(record)
        elif topic.endswith(DEAD_LETTER_SUFFIX):
            self.letters.take(record)
        else:
            self.oldest.setdefault(record.partition, record.timestamp)
            self._read(record, schemas)

    def _publish(self, record: Record) -> None:
        if record.value is None:
            self.judgements.pop(record.key or b"", None)
        else:
            try:
                self.judgements[record.key or b""] = Judgement.decode(record.value)
            except ValidationError:
                self.judgements.pop(record.key or b"", None)
                self.strange.append(f"{record.partition} @ {record.offset}")

    def _read(self, record: Record, schemas: BatchSchemas) -> None:
        at, record = record.partition, original(record)
        if record.damage is not None:
            self.letters.refuse(record, record.damage.reason)
            return
        try:
            message = schemas.decode(record, searched)
        except PoisonError as error:
            self.letters.refuse(record, error.reason)
            return
        if is_forwarded(at):
            self.forwarded.add((record.partition, record.offset))
        elif home_of(query_of(message), at, self.homes) != at.number:
            self.misplaced.add((at, record.offset))
            return
        messages = self.queries if isinstance(message, SearchQuery) else self.events
        messages.append(RecountMessage(at, record.timestamp, message))


async def verify_judgements(
    settings: Settings, wait: timedelta, clock: Clock | None = None
) -> VerificationResult:
    """Compare every judgement with the recount; raises `TransientError` without a broker."""
    clock = clock or SystemClock()
    letters = [topic + DEAD_LETTER_SUFFIX for topic in SOURCES]
    topics = [*LOGS, *letters, Judgement.topic]
    schemas = SchemaDeserializer.of(settings.registry, clock=clock)
    async with TopicReader(settings, topics, damaged=SOURCES) as reader, aclosing(schemas):
        _, forwarded = QUERY_LOGS
        shopping = Shopping(sum(at.topic == forwarded for at in reader.beginnings) or settings.partitions)

        async def look() -> VerificationResult:
            async for record in reader.news():
                is_ours = record.partition.topic not in LOGS
                shopping.take(record, NO_SCHEMAS if is_ours else await schemas.schemas_of([record]))
            beginnings = {at: begin for at, begin in reader.beginnings.items() if at.topic in LOGS}
            verdict = _compare(shopping, beginnings, settings, clock.now())
            return replace(verdict, notes=[*verdict.notes, *held_back(await reader.open_transactions())])

        return await settled(look, wait)


def _compare(
    shopping: Shopping, beginnings: Mapping[Partition, int], settings: Settings, now: datetime
) -> VerificationResult:
    rules, days = settings.judgements.rules(), settings.judgements.window_days
    counted = recount(shopping.queries, shopping.events, rules)
    expected = counted.tally.window(first_day(day_of(milliseconds(now)), days))
    faults = [
        f"there is no topic {topic}" for topic in SOURCES if topic not in {at.topic for at in beginnings}
    ]
    needed = now - timedelta(days=days) - rules.longest_attribution - rules.grace
    unproven = {at: begin for at, begin in beginnings.items() if shopping.oldest.get(at, now) > needed}
    faults += retention_gaps(unproven)
    faults += shopping.letters.differences(beginnings)
    faults += [
        f"{partition} @ {offset}: at home elsewhere, and not forwarded"
        for partition, offset in sorted(shopping.misplaced - shopping.forwarded)
    ]
    faults += differences(expected, shopping.judgements.values())
    faults += underived(shopping.judgements.values(), settings.judgements.business_objective())
    figures = {
        "queries": len(shopping.queries),
        "events": len(shopping.events),
        "pairs": len(expected),
        "judgements": len(shopping.judgements),
        "forwarded": len(shopping.forwarded),
        "dead letters": len(shopping.letters.written),
    }
    return VerificationResult(faults, figures, _notes(counted.left_out, shopping, beginnings))


def _notes(left_out: Mapping[str, int], shopping: Shopping, beginnings: Mapping[Partition, int]) -> list[str]:
    notes = []
    if left_out:
        reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(left_out.items()))
        notes.append(f"by the rules these do not count: {reasons}")
    if removed := sum(beginnings.values()):
        notes.append(f"{removed} queries and events are gone (retention), all before the window")
    if shopping.letters.again:
        notes.append(f"{shopping.letters.again} dead letters were written again after a kill")
    return [*notes, *strangers(shopping.strange)]
