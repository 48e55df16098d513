"""Keys go to the partition that every other Kafka client gives them."""

from collections import Counter

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from shared.kafka.partitioning import partition_of

KAFKAS_OWN = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""Of `UtilsTest.testMurmur2` in Apache Kafka."""


@pytest.mark.parametrize(("key", "murmur"), KAFKAS_OWN.items())
@pytest.mark.parametrize("partitions", [1, 4, 7, 1024])
def test_a_key_has_the_partition_that_kafkas_own_test_vectors_give(key, murmur, partitions):
    assert partition_of(key, partitions) == (murmur & 0x7FFFFFFF) % partitions


@given(key=st.binary(max_size=64), partitions=st.integers(1, 1024))
def test_it_is_where_the_producer_that_we_use_would_write_the_key(key, partitions):
    every = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, every, every)


@pytest.mark.parametrize("partitions", [2, 3, 4, 16])
def test_product_ids_spread_evenly(partitions):
    share = 8_000 / partitions
    counts = Counter(partition_of(b"P-%d" % number, partitions) for number in range(8_000))
    assert sorted(counts) == list(range(partitions))
    assert 0.8 * share < min(counts.values()) <= max(counts.values()) < 1.2 * share
