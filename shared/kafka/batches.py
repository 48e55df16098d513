"""Kafka's batches of records as they lie on the wire: where one ends, and what its header says.

Three formats (https://kafka.apache.org/documentation/#messageformat): `magic` 2 has a header of its own; of
the older two a batch is one message, and when that is compressed, its value is the messages of the batch.
"""

import struct
from binascii import crc32
from collections.abc import Iterator
from dataclasses import dataclass

from aiokafka.record.util import calc_crc32c

FRAME = struct.Struct(">qi")
"""Offset, and the length of what follows."""
HEADER = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, checksum, attributes, last offset delta, first and longest
timestamp, producer id and epoch, base sequence, number of records."""
LEGACY_HEADER = struct.Struct(">qiIbb")
"""Offset, length, checksum, magic, attributes."""
MAGIC_AT = 16
CODEC, LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 0x07, 0x08, 0x10, 0x20
NEWEST_MAGIC = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBatch:
    """One batch, whole; `producer_id` is None where its format has none."""

    raw: bytes
    magic: int
    base_offset: int
    next_offset: int
    attributes: int
    producer_id: int | None = None
    count: int = 1
    timestamp: int = -1
    """The first one, to which those of the records are added."""
    longest_timestamp: int = -1

    @property
    def codec(self) -> int:
        """How it is compressed, as Kafka numbers it."""
        return self.attributes & CODEC

    @property
    def timestamp_type(self) -> int:
        """0: when the producer says; 1: when the broker appended it."""
        return int(bool(self.attributes & LOG_APPEND_TIME))

    @property
    def is_transactional(self) -> bool:
        """Whether it counts only once its transaction is committed."""
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def is_control_batch(self) -> bool:
        """Whether it is the broker's own, the end of a transaction."""
        return bool(self.attributes & CONTROL)

    @property
    def intact(self) -> bool:
        """Whether the checksum is right; each time it is computed over the whole batch."""
        if self.magic == NEWEST_MAGIC:
            return bool(calc_crc32c(self.raw[21:]) == int.from_bytes(self.raw[17:21], "big"))
        return self.magic < NEWEST_MAGIC and crc32(self.raw[MAGIC_AT:]) == int.from_bytes(
            self.raw[12:16], "big"
        )


def split(buffer: bytes) -> Iterator[RecordBatch]:
    """Yield the batches of a fetch, in order; what is not whole at its end is left out, unless it is all."""
    at = 0
    while len(buffer) - at >= FRAME.size:
        _, length = FRAME.unpack_from(buffer, at)
        end = at + FRAME.size + length
        whole = FRAME.size + length > MAGIC_AT and end <= len(buffer)
        if not whole and at:
            return
        yield read_header(buffer[at : end if whole else len(buffer)])
        if not whole:
            return
        at = end


def read_header(raw: bytes) -> RecordBatch:
    """Return the batch; one whose header is not whole, or unknown, is one unknown message at its offset."""
    magic = raw[MAGIC_AT] if len(raw) > MAGIC_AT else NEWEST_MAGIC + 1
    if magic == NEWEST_MAGIC and len(raw) >= HEADER.size:
        base, _, _, _, _, attributes, last, first, longest, producer, _, _, count = HEADER.unpack_from(raw)
        return RecordBatch(
            raw=raw,
            magic=magic,
            base_offset=base,
            next_offset=base + last + 1,
            attributes=attributes,
            producer_id=producer,
            count=count,
            timestamp=first,
            longest_timestamp=longest,
        )
    (base,) = struct.unpack_from(">q", raw)
    if magic < NEWEST_MAGIC and len(raw) >= LEGACY_HEADER.size:
        attributes = LEGACY_HEADER.unpack_from(raw)[-1]
        return RecordBatch(
            raw=raw, magic=magic, base_offset=base, next_offset=base + 1, attributes=attributes
        )
    return RecordBatch(raw=raw, magic=NEWEST_MAGIC + 1, base_offset=base, next_offset=base + 1, attributes=0)
