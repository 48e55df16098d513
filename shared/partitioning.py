"""Which partition a key belongs to: Kafka's own murmur2, so that every client agrees."""

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's default partitioner gives `key` among `partitions`."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
