"""Our words for what aiokafka's consumer says."""

from datetime import timedelta

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, NoOffsetForPartitionError, OffsetOutOfRangeError

from shared.errors import TransientError
from shared.kafka.consumer import OffsetGoneError, RecordConsumer
from shared.records import Partition
from shared.settings import Settings

AT = Partition("things", 0)
RAW = TopicPartition("shop.things", 0)
WAIT = timedelta(milliseconds=5)


class Answering:
    """aiokafka's consumer, as far as it is asked: it answers, or raises."""

    def __init__(self, answer=None, error=None):
        self.answer, self.error = answer, error
        self.asked = []

    async def getmany(self, *partitions, **options):
        self.asked.append(partitions)
        return await self.end_offsets(list(partitions))

    async def end_offsets(self, partitions):
        self.asked.append(partitions)
        if self.error is not None:
            raise self.error
        return self.answer

    beginning_offsets = end_offsets


def consumer(answer=None, error=None):
    ours = RecordConsumer(Settings(topic_prefix="shop."))
    ours._consumer = Answering(answer, error)
    return ours


async def test_a_group_that_never_committed_is_no_failure():
    assert await consumer(error=NoOffsetForPartitionError()).read(AT, wait=WAIT) == []


async def test_an_offset_that_the_log_does_not_have_is_told_from_other_trouble():
    with pytest.raises(OffsetGoneError):
        await consumer(error=OffsetOutOfRangeError({RAW: 7})).read(AT, wait=WAIT)


async def test_trouble_with_the_broker_is_transient_and_names_it():
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:9092") as raised:
        await consumer(error=KafkaConnectionError("refused")).edges([AT])
    assert not isinstance(raised.value, OffsetGoneError)


async def test_a_partition_has_the_prefix_on_the_wire_and_nowhere_else():
    ours = consumer({RAW: 9})
    assert await ours.edges([AT]) == {AT: (9, 9)}
    assert await ours.ends([AT]) == {AT: 9}
    assert ours._consumer.asked == [[RAW]] * 3


async def test_nothing_is_asked_about_no_partitions():
    ours = consumer(error=AssertionError("asked"))
    assert await ours.edges([]) == {}
