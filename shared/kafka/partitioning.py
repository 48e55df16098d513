"""Which partition a key belongs to: Kafka's own murmur2, as Java's clients, Debezium and aiokafka have it."""

from functools import lru_cache
from struct import unpack_from

SEED, MIX = 0x9747B28C, 0x5BD1E995
BITS = 0xFFFFFFFF


@lru_cache(maxsize=1 << 14)  # who forwards and who reads ask of each key, one shortly after the other
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's default partitioner gives `key` among `partitions`."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(key: bytes) -> int:
    """Return the 32 bits of org.apache.kafka.common.utils.Utils.murmur2.

    Four bytes at a time: aiokafka's, byte by byte, costs as much as decoding the message.
    """
    length = len(key)
    words = length // 4
    state = SEED ^ length
    for word in unpack_from(f"<{words}I", key):
        mixed = word * MIX & BITS
        state = state * MIX & BITS ^ (mixed ^ mixed >> 24) * MIX & BITS
    if rest := key[words * 4 :]:
        state = (state ^ int.from_bytes(rest, "little")) * MIX & BITS
    state = (state ^ state >> 13) * MIX & BITS
    return state ^ state >> 15
