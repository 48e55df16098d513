"""The published judgements against a recount of all queries and events, and against their own figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from schemas.judgements import Judgement
from schemas.search import SearchEvent, SearchQuery
from schemas.topics import DEAD_LETTER_SUFFIX
from schemas.wire import WireError, decode_event, decode_query
from services.cli.verification.letters import Letters
from services.cli.verification.verdict import Verdict, retention_gaps, settled
from services.judgements.domain.admission import milliseconds
from services.judgements.domain.counts import first_day
from services.judgements.domain.join import day_of
from services.judgements.domain.recount import Written, differences, recount, underived
from services.judgements.settings import Settings
from shared.clock import SystemClock
from shared.ports import Clock
from shared.records import Partition, Record
from shared.topic_reader import TopicReader

SOURCES = (SearchQuery.topic, SearchEvent.topic)


@dataclass(slots=True)
class Shopping:
    """What was asked and done, and what was published of it, as read so far."""

    queries: list[Written] = field(default_factory=list)
    events: list[Written] = field(default_factory=list)
    judgements: dict[bytes, Judgement] = field(default_factory=dict)
    letters: Letters = field(default_factory=Letters)
    oldest: dict[Partition, datetime] = field(default_factory=dict)
    """When the first message that is left was written."""

    def take(self, record: Record) -> None:
        """Take one record of any of the topics."""
        topic = record.partition.topic
        if topic == Judgement.topic:
            self._publish(record)
        elif topic.endswith(DEAD_LETTER_SUFFIX):
            self.letters.take(record)
        else:
            self.oldest.setdefault(record.partition, record.timestamp)
            self._read(record)

    def _publish(self, record: Record) -> None:
        if record.value is None:
            self.judgements.pop(record.key or b"", None)
        else:
            self.judgements[record.key or b""] = Judgement.decode(record.value)

    def _read(self, record: Record) -> None:
        at, written = record.partition.number, record.timestamp
        try:
            if record.partition.topic == SearchQuery.topic:
                self.queries.append(Written(at, written, decode_query(record.value, timestamp=written)))
            else:
                self.events.append(Written(at, written, decode_event(record.value)))
        except WireError as error:
            self.letters.refuse(record, error.reason)


async def verify_judgements(settings: Settings, wait: timedelta, clock: Clock | None = None) -> Verdict:
    """Compare every judgement with the recount; raises `TransientError` without a broker."""
    clock = clock or SystemClock()
    letters = [topic + DEAD_LETTER_SUFFIX for topic in SOURCES]
    shopping = Shopping()
    async with TopicReader(settings, [*SOURCES, *letters, Judgement.topic]) as reader:

        async def look() -> Verdict:
            async for record in reader.news():
                shopping.take(record)
            beginnings = {at: begin for at, begin in reader.beginnings.items() if at.topic in SOURCES}
            return _compare(shopping, beginnings, settings, clock.now())

        return await settled(look, wait)


def _compare(
    shopping: Shopping, beginnings: Mapping[Partition, int], settings: Settings, now: datetime
) -> Verdict:
    rules, days = settings.judgements.rules(), settings.judgements.window_days
    counted = recount(shopping.queries, shopping.events, rules)
    expected = counted.tally.window(first_day(day_of(milliseconds(now)), days))
    found = [
        f"there is no topic {topic}" for topic in SOURCES if topic not in {at.topic for at in beginnings}
    ]
    needed = now - timedelta(days=days) - rules.longest_attribution - rules.grace
    unproven = {at: begin for at, begin in beginnings.items() if shopping.oldest.get(at, now) > needed}
    found += retention_gaps(unproven)
    found += shopping.letters.differences(beginnings)
    found += differences(expected, shopping.judgements.values())
    found += underived(shopping.judgements.values(), settings.judgements.worth())
    figures = {
        "queries": len(shopping.queries),
        "events": len(shopping.events),
        "pairs": len(expected),
        "judgements": len(shopping.judgements),
        "dead letters": len(shopping.letters.written),
    }
    return Verdict(found, figures, _notes(counted.left_out, shopping, beginnings))


def _notes(left_out: Mapping[str, int], shopping: Shopping, beginnings: Mapping[Partition, int]) -> list[str]:
    notes = []
    if left_out:
        reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(left_out.items()))
        notes.append(f"by the rules these do not count: {reasons}")
    if gone := sum(beginnings.values()):
        notes.append(f"{gone} queries and events are gone (retention), all before the window")
    if shopping.letters.again:
        notes.append(f"{shopping.letters.again} dead letters were written again after a kill")
    return notes
