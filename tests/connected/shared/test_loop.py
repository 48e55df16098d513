"""The partition loop on a real broker: resume, isolate poison, report gaps, stop on the unknown."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import TopicPartition

from schemas.alerts import Alert
from shared.clock import SystemClock
from shared.cluster.registry import ReaderRegistry
from shared.errors import FatalError, PoisonError, TransientError
from shared.infrastructure.topics import apply
from shared.infrastructure.topics import connect as connect_admin
from shared.kafka.metadata import describe
from shared.kafka.publisher import KafkaPublisher
from shared.kafka.topic_reader import TopicReader
from shared.records import Applied, Outgoing, Partition
from shared.settings import Settings
from shared.state.fenced import StateKeys
from shared.state.hash import RedisHash
from shared.state.redis import connect
from shared.streaming.heartbeat import ReaderHeartbeat
from shared.streaming.loop import PartitionLoop, Subscription

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

    async def assigned(self, partition, source):
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


class Keepers(Keeper):
    """Keeps of several partitions; `next_offset` counts all their messages."""

    def __init__(self):
        super().__init__()
        self.offsets = {}

    async def assigned(self, partition, source):
        return self.offsets.get(partition)

    async def handle(self, partition, batch):
        done = await super().handle(partition, batch)
        self.offsets[partition] = batch.next_offset
        self.next_offset = sum(self.offsets.values())
        async with self.changed:
            self.changed.notify_all()
        return done


class TimeKeeper(Keeper):
    """Keeps whole records."""

    def __init__(self):
        super().__init__()
        self.records = []

    async def handle(self, partition, batch):
        self.records += [record for record, _ in batch.messages]
        return await super().handle(partition, batch)


class FencedKeeper(Keeper):
    """Keeps its offset in Redis, as workers do."""

    def __init__(self, settings):
        super().__init__()
        self.hash = RedisHash(connect(settings), "kept")
        self.keys = StateKeys(f"{settings.namespace}:{{keeper}}:")
        self.held = None

    async def assigned(self, partition, source):
        self.held = await self.hash.claim(self.keys, log=source)
        return self.held.next_offset

    async def handle(self, partition, batch):
        await self.hash.add(self.held, {}, next_offset=batch.next_offset)
        return await super().handle(partition, batch)

    async def until_kept(self, values):
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(lambda: len(self.kept) >= len(values))
        assert self.kept == values


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
        subscription=Subscription(name="keeper", topics=(TOPIC,)),
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
    readers = ReaderRegistry(redis, settings.namespace, "keeper")
    await write(publisher, b"a", b"b")
    async with reading(settings, keeper, publisher) as loop:
        announcer = ReaderHeartbeat(settings, loop, redis=redis, clock=SystemClock())
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


async def make_anew(settings, partitions=1):
    async with connect_admin(settings) as administration:
        await administration.delete(settings.topic_prefix + TOPIC)
    await apply(settings.model_copy(update={"partitions": partitions}))


async def grow(settings, partitions):
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await admin.create_partitions({settings.topic_prefix + TOPIC: NewPartitions(partitions)})
    finally:
        await admin.close()


async def until_read(loop, count):
    async with asyncio.timeout(60):
        while len(loop.positions) != count or None in loop.positions.values():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)


async def test_partitions_that_are_added_are_read_without_a_restart(settings, publisher):
    keeper = Keepers()
    async with reading(settings, keeper, publisher) as loop:
        await write(publisher, b"a")
        await keeper.until(1)
        await grow(settings, 3)
        await publisher.publish([Outgoing(TOPIC, b"k", b"%d" % at, partition=at) for at in (1, 2)])
        await loop.look()
        await until_read(loop, 3)
        await keeper.until(3)
        assert loop.partitions == {TOPIC: 3}
    assert sorted(keeper.kept) == [b"1", b"2", b"a"]


async def test_two_workers_share_what_is_added_and_none_is_read_twice(settings, publisher):
    one, two = (settings.model_copy(update={"instance": name}) for name in ("one", "two"))
    async with reading(one, Keepers(), publisher) as first, reading(two, Keepers(), publisher) as second:
        await grow(settings, 4)
        await first.look()  # the other one has not heard of it yet
        await second.look()
        async with asyncio.timeout(60):
            while not (len(first.positions) == len(second.positions) == 2):  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.1)
        assert not set(first.positions) & set(second.positions)


async def identified(settings):
    """Skip the test on a broker whose topics have no identity."""
    described = await describe(settings, [TOPIC])
    if not described.topics[TOPIC].identity:
        pytest.skip("this broker's topics have no identity")


@pytest.mark.parametrize("more", [1, 5], ids=["fewer messages than before", "more messages than before"])
async def test_a_topic_that_is_made_anew_while_it_is_read_is_read_from_its_beginning(
    settings, publisher, more
):
    await identified(settings)
    keeper = FencedKeeper(settings)
    await write(publisher, b"a", b"b", b"c")
    async with reading(settings, keeper, publisher) as loop:
        await keeper.until(3)
        await make_anew(settings)
        await write(publisher, *[b"new"] * more)
        await loop.look()
        await keeper.until_kept([b"a", b"b", b"c", *[b"new"] * more])
        await loop.look()
        await write(publisher, b"last")
        await keeper.until_kept([b"a", b"b", b"c", *[b"new"] * more, b"last"])
    [record] = await read(settings, Alert.topic, 1)
    alert = Alert.decode(record.value)
    assert alert.alert_key.startswith(f"topic-made-anew:{TOPIC}:")
    assert (alert.evidence["end"], alert.evidence["new_end"]) == (3, more)


async def test_a_topic_that_is_made_anew_while_nobody_reads_it_is_read_from_its_beginning(
    settings, publisher
):
    await identified(settings)
    keeper = FencedKeeper(settings)
    await write(publisher, b"a", b"b", b"c")
    async with reading(settings, keeper, publisher):
        await keeper.until(3)
    await make_anew(settings)
    await write(publisher, b"0", b"1", b"2", b"3")
    for _ in range(2):
        async with reading(settings, keeper, publisher):
            await keeper.until_kept([b"a", b"b", b"c", b"0", b"1", b"2", b"3"])
    await write_alert(publisher, "the:last")
    keys = [record.key.decode() for record in await read(settings, Alert.topic, 2)]
    assert keys[0].startswith("topic-made-anew:")
    assert keys[1] == "the:last"


async def test_a_topic_that_keeps_its_producers_time_is_told_and_one_that_was_applied_is_not(
    settings, publisher
):
    ahead = datetime.now(UTC) + timedelta(minutes=50)
    keeper = TimeKeeper()
    async with reading(settings, keeper, publisher):
        await publisher.publish([Outgoing(TOPIC, b"k", b"a", timestamp=ahead)])
        await keeper.until(1)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    kept = {"message.timestamp.type": "CreateTime"}
    resource = ConfigResource(ConfigResourceType.TOPIC, settings.topic_prefix + TOPIC, kept)
    await admin.alter_configs([resource])
    await admin.close()
    async with TopicReader(settings, [TOPIC]) as topic, asyncio.timeout(30):
        appended = True
        while appended:  # until the broker heeds it
            await publisher.publish([Outgoing(TOPIC, b"k", b"b", timestamp=ahead)])
            appended = [record.appended async for record in topic.news()][-1]
    async with reading(settings, keeper, publisher):
        await keeper.until(2)
        await publisher.publish([Outgoing(TOPIC, b"k", b"last", timestamp=ahead)])
        async with asyncio.timeout(30), keeper.changed:
            await keeper.changed.wait_for(lambda: keeper.kept[-1] == b"last")
    [record] = await read(settings, Alert.topic, 1)
    alert = Alert.decode(record.value)
    assert (alert.alert_key, alert.severity) == (f"producer-time:{TOPIC}", "info")
    assert all(record.timestamp < ahead for record in keeper.records)
    [change] = [change for change in await apply(settings) if change.config]
    assert change.config["message.timestamp.type"] == ("CreateTime", "LogAppendTime")
