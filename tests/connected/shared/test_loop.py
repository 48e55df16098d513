"""The partition loop on a real broker: resume, isolate poison, say holes, stop on the unknown."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from schemas.alerts import Alert
from shared.adapters.kafka import KafkaPublisher
from shared.adapters.redis import connect
from shared.announcing import LoopAnnouncer
from shared.clock import SystemClock
from shared.errors import FatalError, PoisonError, TransientError
from shared.infrastructure.topics import apply
from shared.loop import PartitionLoop, Reading
from shared.records import Applied, Outgoing, Partition
from shared.registry import Readers
from shared.settings import Settings

pytestmark = pytest.mark.connected
TOPIC = "search.events.v1"
AT = Partition(TOPIC, 0)


class Keeper:
    """A handler whose state is a list and an offset; some values are poison, some are worse."""

    def __init__(self):
        self.kept = []
        self.next_offset = None
        self.trouble = []
        self.changed = asyncio.Condition()

    async def assigned(self, partition):
        return self.next_offset

    def decode(self, record):
        if record.value.startswith(b"rubbish"):
            raise PoisonError("value.rubbish", "cannot be read")
        return record.value

    async def handle(self, partition, batch):
        if self.trouble:
            raise self.trouble.pop()
        values = [value for _, value in batch.messages]
        if b"poison" in values:
            raise PoisonError("value.poison", "cannot be used")
        if b"bug" in values:
            raise KeyError("bug")
        self.kept += values
        self.next_offset = batch.next_offset
        async with self.changed:
            self.changed.notify_all()
        return Applied(len(values))

    async def revoked(self, partition):
        pass

    async def until(self, offset):
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(lambda: (self.next_offset or 0) >= offset)


@pytest.fixture
async def settings(kafka, redis_url, topic_prefix, namespace):
    settings = Settings.load(
        kafka=kafka, redis=redis_url, topic_prefix=topic_prefix, namespace=namespace, partitions=1
    )
    await apply(settings)
    return settings


@pytest.fixture
async def publisher(settings):
    publisher = KafkaPublisher(settings)
    await publisher.start()
    yield publisher
    await publisher.stop()


@asynccontextmanager
async def reading(settings, handler, publisher):
    loop = PartitionLoop(
        settings,
        handler,
        reading=Reading(name="keeper", topics=(TOPIC,)),
        publisher=publisher,
        clock=SystemClock(),
    )
    await loop.start()
    try:
        yield loop
    finally:
        await loop.stop()


async def write(publisher, *values):
    await publisher.publish([Outgoing(TOPIC, b"k", value) for value in values])


async def read(settings, topic, count):
    name = settings.topic_prefix + topic
    consumer = AIOKafkaConsumer(name, bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(30):
        return [await consumer.getone() for _ in range(count)]


async def test_it_begins_where_the_state_ends(settings, publisher):
    keeper = Keeper()
    await write(publisher, b"a", b"b")
    async with reading(settings, keeper, publisher):
        await keeper.until(2)
    await write(publisher, b"c")
    keeper.next_offset = 1  # the state is what counts, not what was committed
    async with reading(settings, keeper, publisher):
        await keeper.until(3)
    assert keeper.kept == [b"a", b"b", b"b", b"c"]


async def test_poison_is_put_aside_and_everything_else_is_kept(settings, publisher):
    keeper = Keeper()
    await write(publisher, b"a", b"rubbish \xff", b"b", b"poison", b"c", b"rubbish")
    async with reading(settings, keeper, publisher):
        await keeper.until(6)
    assert keeper.kept == [b"a", b"b", b"c"]
    letters = await read(settings, f"{TOPIC}.dlq", 3)
    reasons = {letter.value: dict(letter.headers)["headrace.reason"] for letter in letters}
    assert reasons == {
        b"rubbish \xff": b"value.rubbish",
        b"rubbish": b"value.rubbish",
        b"poison": b"value.poison",
    }


async def test_passing_trouble_is_waited_out(settings, publisher):
    keeper = Keeper()
    keeper.trouble = [TransientError("away"), TransientError("away")]
    await write(publisher, b"a")
    async with reading(settings, keeper, publisher):
        await keeper.until(1)
    assert keeper.kept == [b"a"]


@pytest.mark.parametrize("trouble", [FatalError("stop"), KeyError("unknown")], ids=["fatal", "unknown"])
async def test_anything_else_stops_the_process(settings, publisher, trouble):
    keeper = Keeper()
    keeper.trouble = [trouble]
    await write(publisher, b"a")
    async with reading(settings, keeper, publisher) as loop, asyncio.timeout(30):
        with pytest.raises(type(trouble)):
            await loop.wait()
    assert keeper.next_offset is None


async def remove(settings, *, before):
    """Remove records as retention does; skips the test when the broker cannot."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    at = TopicPartition(settings.topic_prefix + TOPIC, 0)
    try:
        await admin.delete_records({at: RecordsToDelete(before_offset=before)})
    except Exception as error:  # noqa: BLE001 - whatever a broker without this feature says
        pytest.skip(f"this broker cannot delete records: {error!r}")
    finally:
        await admin.close()


async def test_what_retention_removed_is_an_alert_and_not_a_silent_jump(settings, publisher):
    keeper = Keeper()
    await write(publisher, *(b"%d" % number for number in range(10)))
    await remove(settings, before=6)
    keeper.next_offset = 2
    async with reading(settings, keeper, publisher):
        await keeper.until(10)
    [record] = await read(settings, Alert.topic, 1)
    alert = Alert.decode(record.value)
    assert (alert.evidence["from"], alert.evidence["to"]) == (2, 6)
    assert keeper.kept == [b"6", b"7", b"8", b"9"]


async def test_a_hole_in_a_topic_that_is_idle_since_is_said_once(settings, publisher):
    keeper = Keeper()
    await write(publisher, b"a", b"b", b"c")
    await remove(settings, before=3)
    keeper.next_offset = 1
    for _ in range(2):
        async with reading(settings, keeper, publisher):
            await keeper.until(3)
    await write_alert(publisher, "the:last")
    keys = [record.key for record in await read(settings, Alert.topic, 2)]
    assert keys == [f"offset-gap:{AT}:1".encode(), b"the:last"]


async def write_alert(publisher, key):
    await publisher.publish([Outgoing(Alert.topic, key.encode(), b"{}")])


async def test_two_workers_share_the_partitions_and_none_is_read_twice(
    kafka, redis_url, topic_prefix, namespace
):
    common = {"kafka": kafka, "redis": redis_url, "topic_prefix": topic_prefix, "namespace": namespace}
    one = Settings.load(**common, partitions=4, instance="one")
    two = Settings.load(**common, partitions=4, instance="two")
    await apply(one)
    publisher = KafkaPublisher(one)
    await publisher.start()
    async with reading(one, Keeper(), publisher) as first, reading(two, Keeper(), publisher) as second:
        async with asyncio.timeout(60):
            while not (len(first.positions) == len(second.positions) == 2):  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.1)
        assert not set(first.positions) & set(second.positions)
    await publisher.stop()


async def test_it_announces_what_it_reads_and_how_far_it_is(settings, publisher):
    redis, keeper = connect(settings), Keeper()
    readers = Readers(redis, settings.namespace, "keeper")
    await write(publisher, b"a", b"b")
    async with reading(settings, keeper, publisher) as loop:
        announcer = LoopAnnouncer(settings, loop, redis=redis, clock=SystemClock())
        await announcer.start()
        await keeper.until(2)
        keeper.trouble = [TransientError("away")] * 1000
        await write(publisher, b"c")
        async with asyncio.timeout(30):
            while not [r for r in await readers.records() if r.end_offset == 3]:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.05)
        [record] = await readers.records()
        assert (record.topic, record.partition, record.partitions) == (TOPIC, 0, 1)
        assert record.next_offset == 2
        await announcer.stop()
        assert await readers.records() == []
    await redis.aclose()
