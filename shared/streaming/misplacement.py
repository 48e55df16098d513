"""Why a message lies in another partition than the home of what it is about: what its producer does."""

import zlib
from enum import StrEnum

from shared.kafka.partitioning import partition_of
from shared.records import Record

JSON_BEGINS = (b"{", b"[", b'"')


class Misplacement(StrEnum):
    """What the key and the partition of a misplaced message say."""

    NO_KEY = "no key"
    JSON_KEY = "JSON key"
    OTHER_KEY = "another key"
    CRC32 = "CRC32"
    PARTITIONS_ADDED = "partitions added"
    OTHER_PARTITIONER = "another partitioner"

    @property
    def explanation(self) -> str:
        """Return what the producer does, and what to set."""
        return EXPLANATIONS[self]


EXPLANATIONS = {
    Misplacement.NO_KEY: "its messages have no key: give them the id as key",
    Misplacement.JSON_KEY: "its keys are JSON, as a connector writes them: that is all right; to save the "
    "detour, let the connector write the bare id as key (StringConverter, ExtractField$Key), and no "
    "tombstones (tombstones.on.delete=false): under a bare key they are deletes of their own",
    Misplacement.OTHER_KEY: "its keys are not the ids: give the messages the id as key",
    Misplacement.CRC32: "it partitions by CRC32, as librdkafka does (kcat, confluent-kafka, clients in Go, "
    "PHP, Rust, Node): set `partitioner=murmur2_random` there (kcat: `-X partitioner=murmur2_random`)",
    Misplacement.PARTITIONS_ADDED: "the topic has more or fewer partitions than there are homes: that is all "
    "right, nothing needs to be done",
    Misplacement.OTHER_PARTITIONER: "it has a partitioner of its own: murmur2 of the id saves the detour",
}


def misplacement(record: Record, subject: bytes, *, partitions: int) -> Misplacement:
    """Say why a record about `subject` lies where it lies, in a topic of so many partitions."""
    key, number = record.key, record.partition.number
    if not key:
        return Misplacement.NO_KEY
    if key != subject:
        return Misplacement.JSON_KEY if key.startswith(JSON_BEGINS) else Misplacement.OTHER_KEY
    if zlib.crc32(key) % partitions == number:
        return Misplacement.CRC32
    if partition_of(key, partitions) == number:
        return Misplacement.PARTITIONS_ADDED
    return Misplacement.OTHER_PARTITIONER
