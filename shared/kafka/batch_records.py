"""The records of one batch, each by itself: what one of them hides costs none of the others.

aiokafka gives up the whole batch, and with it the partition, for one header whose name is not UTF-8; and it
decompresses before it looks. Here a record is bounded by its length: what cannot be read of it, or is too
much to hold, is handed on as a record with its coordinates and its damage. Only where the format itself
breaks off nothing can be said of what follows: that is one damaged record too, of the rest of the batch.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from shared.kafka.batches import HEADER, LEGACY_HEADER, NEWEST_MAGIC, RecordBatch
from shared.kafka.byte_stream import BreaksOffError, ByteStream
from shared.kafka.decompression import CodecError, pieces
from shared.records import HEAD_BYTES, Damage, Excerpt

RECORD_BYTES = 8 * 1024 * 1024
"""A longer record is not held: only its key, and the heads of its parts."""
BATCH_BYTES = 1024 * 1024 * 1024
"""So much of a batch is decompressed, at most; what lies behind is the damaged rest of it."""
QUICK_BYTES = 16 * 1024 * 1024
"""A batch that is no longer is decompressed at once."""
LENGTH, TIMESTAMP = struct.Struct(">i"), struct.Struct(">q")

RawHeaders = tuple[tuple[str, bytes | None], ...]


@dataclass(slots=True, kw_only=True)
class RawRecord:
    """A record as aiokafka's consumer expects one; `damage` says what is not as it was written."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None = None
    value: bytes | None = None
    headers: RawHeaders = ()
    checksum: None = None
    damage: Damage | None = None
    excerpts: tuple[Excerpt, ...] = ()
    """Of the parts of which only the head is here."""

    def damaged(self, reason: str, explanation: str, *whole: Excerpt) -> Self:
        """Note what is wrong with it, and what was left out."""
        self.damage = Damage(reason, explanation, self.excerpts + whole)
        return self


def uncompressed(batch: RecordBatch) -> bytes | None:
    """Return a batch of the newest format without its compression, header and all; None: it is long.

    Raises `CodecError`.
    """
    if not batch.codec:
        return batch.raw
    content = bytearray(batch.raw[: HEADER.size])
    content[22] &= ~7  # the codec, in the lower byte of the attributes
    for piece in pieces(batch.codec, batch.raw[HEADER.size :]):
        content += piece
        if len(content) > QUICK_BYTES:
            return None
    return bytes(content)


def records(batch: RecordBatch, *, first: int) -> Iterator[RawRecord]:
    """Yield the records of a batch, those before the offset `first` too; it raises nothing.

    `first` is where the rest of the batch begins when nothing at all can be read of it.
    """
    expected = first
    try:
        for record in _newest(batch) if batch.magic == NEWEST_MAGIC else _legacy(batch):
            expected = max(expected, record.offset + 1)
            yield record
    except (BreaksOffError, CodecError) as error:
        if expected < batch.next_offset:
            yield rest(batch, expected, str(error))


def rest(batch: RecordBatch, offset: int, fault: str) -> RawRecord:
    """Return the record that stands for what cannot be read of a batch, from an offset on."""
    last = batch.next_offset - 1
    which = f"offset {offset}" if last <= offset else f"offsets {offset} to {last}"
    record = _at(offset, batch, batch.raw[:HEAD_BYTES])
    return record.damaged("batch.unreadable", f"{which} cannot be read: {fault}", _whole("batch", batch.raw))


def _newest(batch: RecordBatch) -> Iterator[RawRecord]:
    if batch.count < 0:
        raise BreaksOffError(f"a batch of {batch.count} records")
    stream = ByteStream(pieces(batch.codec, batch.raw[HEADER.size :]), limit=BATCH_BYTES)
    expected = batch.base_offset
    for _ in range(batch.count):
        length = stream.number()
        record = _at(expected, batch)
        if length <= RECORD_BYTES:
            yield _short(record, stream.take(length), batch)
        else:
            yield _long(record, stream, batch, length=length)
        expected = record.offset + 1


def _at(offset: int, batch: RecordBatch, value: bytes | None = None) -> RawRecord:
    return RawRecord(
        offset=offset, timestamp=batch.longest_timestamp, timestamp_type=batch.timestamp_type, value=value
    )


def _whole(name: str, content: bytes) -> Excerpt:
    return Excerpt(name, len(content), sha256(content).hexdigest())


def _short(record: RawRecord, body: bytes, batch: RecordBatch) -> RawRecord:
    """Fill the record from its bytes; of one that is none of Kafka's they are the value."""
    try:
        _fill(record, ByteStream(iter((body,)), limit=len(body)), batch, longest=RECORD_BYTES)
    except BreaksOffError as error:
        record.value = body[:HEAD_BYTES]
        return record.damaged(
            "record.malformed", f"it is no record of Kafka's: {error}", _whole("record", body)
        )
    return record


def _long(record: RawRecord, stream: ByteStream, batch: RecordBatch, *, length: int) -> RawRecord:
    """Fill the record with the heads of its parts, as far as it can be read."""
    parts, fault = stream.draw(length), ""
    try:
        _fill(record, ByteStream(parts, limit=length), batch, longest=HEAD_BYTES)
    except BreaksOffError as error:
        fault = f", {error}"
    for _ in parts:
        pass  # what was not looked at: the next record begins behind it
    batch_of_it = () if record.excerpts else (_whole("batch", batch.raw),)
    return record.damaged("message.too_large", f"a record of {length:,} bytes{fault}", *batch_of_it)


def _fill(record: RawRecord, body: ByteStream, batch: RecordBatch, *, longest: int) -> None:
    """Read the parts of a record in their order, those longer than `longest` in excerpts."""
    body.take(1)  # attributes, of which there are none yet
    timestamp, offset = batch.timestamp + body.number(), batch.base_offset + body.number()
    if not record.offset <= offset < batch.next_offset:
        raise BreaksOffError(f"it has offset {offset}, outside of its batch")
    record.offset = offset
    if not batch.timestamp_type:
        record.timestamp = timestamp
    for name in ("key", "value"):
        length = body.number()
        if length > longest:
            _shorten(record, name, body.excerpt(name, length))
        else:
            setattr(record, name, _bytes(body, length))
    record.headers, named = _headers(body, room=longest)
    if not body.empty:
        raise BreaksOffError("it is longer than its parts")
    if not named:
        record.damaged("header.invalid", "the name of a header is not UTF-8")


def _bytes(body: ByteStream, length: int) -> bytes | None:
    return None if length == -1 else body.take(length)


def _shorten(record: RawRecord, name: str, excerpt: tuple[bytes, Excerpt]) -> None:
    head, whole = excerpt
    setattr(record, name, head)
    record.excerpts += (whole,)


def _headers(body: ByteStream, *, room: int) -> tuple[RawHeaders, bool]:
    """Return the headers, and whether all names are UTF-8; what is none in a name is escaped."""
    count, headers, named = body.number(), [], True
    if count < 0:
        raise BreaksOffError(f"{count} headers")
    for _ in range(count):
        name, length = body.take(body.number()), body.number()
        room -= len(name) + max(length, 0)
        if room < 0:
            raise BreaksOffError("too many headers")
        value = _bytes(body, length)
        text = name.decode(errors="backslashreplace")
        named = named and text.encode() == name
        headers.append((text, value))
    return tuple(headers), named


def _legacy(batch: RecordBatch) -> Iterator[RawRecord]:
    """Yield the message, or those that are compressed in it."""
    if batch.magic > NEWEST_MAGIC:
        raise BreaksOffError("a format of batches that is none of Kafka's")
    stream = ByteStream(iter((batch.raw,)), limit=len(batch.raw))
    outer = _message(stream, batch, longest=len(batch.raw))
    if not batch.codec:
        yield outer
        return
    shift = 0
    if batch.magic == 1:  # its messages count from 0, and it has the offset of the last of them
        shift = batch.base_offset - max((message.offset for message in _inner(outer, batch)), default=0)
    for record in _inner(outer, batch):
        record.offset += shift
        if batch.timestamp_type:
            record.timestamp = outer.timestamp
        yield record


def _inner(outer: RawRecord, batch: RecordBatch) -> Iterator[RawRecord]:
    stream = ByteStream(pieces(batch.codec, outer.value or b""), limit=BATCH_BYTES)
    while not stream.empty:
        yield _message(stream, batch, longest=HEAD_BYTES)


def _message(stream: ByteStream, batch: RecordBatch, *, longest: int) -> RawRecord:
    """Return one message of the older formats, parts longer than `longest` in excerpts."""
    record = _at(stream.unpack(LEGACY_HEADER)[0], batch)
    if batch.magic == 1:
        [record.timestamp] = stream.unpack(TIMESTAMP)
    for name in ("key", "value"):
        [length] = stream.unpack(LENGTH)
        if length > longest:
            _shorten(record, name, stream.excerpt(name, length))
        else:
            setattr(record, name, _bytes(stream, length))
    if record.excerpts:
        record.damaged("message.too_large", "a message that is longer than what is held of it")
    return record
