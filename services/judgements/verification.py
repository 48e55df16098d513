"""What `headrace verify judgements` does: recount from the topics, compare with what is published."""

from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from schemas.search import SearchEvent, SearchQuery
from schemas.wire import WireError, decode_event, decode_query
from services.judgements.domain.admission import milliseconds
from services.judgements.domain.counts import first_day
from services.judgements.domain.join import day_of
from services.judgements.domain.recount import Written, differences, recount
from services.judgements.reading import read_judgements
from services.judgements.settings import Settings
from shared.adapters.kafka import connection, wait_for_broker


async def verify(settings: Settings, now: datetime) -> list[str]:
    """Return one line for each pair whose published counts are not the recounted ones.

    Exact when the worker has caught up and published; reads both topics into memory.
    """
    queries = await _written(settings, SearchQuery.topic)
    events = await _written(settings, SearchEvent.topic)
    first = first_day(day_of(milliseconds(now)), settings.judgements.window_days)
    expected = recount(queries, events, settings.judgements.rules()).tally.window(first)
    return differences(expected, await read_judgements(settings))


async def _written(settings: Settings, topic: str) -> list[Written]:
    """Read a topic to its present end; what went to the dead letters is left out here too."""
    await wait_for_broker(settings, [topic])
    name = settings.topic_prefix + topic
    found: list[Written] = []
    consumer = AIOKafkaConsumer(**connection(settings), auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(name, number) for number in consumer.partitions_for_topic(name) or ()]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        while [at for at in partitions if await consumer.position(at) < ends[at]]:
            for at, records in (await consumer.getmany(timeout_ms=500)).items():
                kept = [record for record in records if record.offset < ends[at]]
                found += [it for record in kept if (it := _decoded(topic, at.partition, record))]
    finally:
        await consumer.stop()
    return found


def _decoded(topic: str, partition: int, record: ConsumerRecord) -> Written | None:
    moment = datetime.fromtimestamp(max(0, record.timestamp) / 1000, UTC)
    try:
        if topic == SearchQuery.topic:
            return Written(partition, moment, decode_query(record.value, timestamp=moment))
        return Written(partition, moment, decode_event(record.value))
    except WireError:
        return None
