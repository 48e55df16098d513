"""Batches of records byte by byte, as no client of ours writes them, and the request that writes them."""

import gzip
import struct
from binascii import crc32
from collections.abc import Sequence

import cramjam
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.codec import lz4_encode, snappy_encode
from aiokafka.errors import for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c

from shared.kafka.connection import connection
from shared.settings import Settings

NOW = 1_764_000_000_000
CODECS = {
    0: bytes,
    1: gzip.compress,
    2: snappy_encode,
    3: lambda content: lz4_encode(bytes(content)),
    4: lambda content: bytes(cramjam.zstd.compress(bytes(content))),
}


def number(value: int) -> bytes:
    """Return a number of variable length."""
    value = (value << 1) ^ (value >> 63)
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def nullable(content: bytes | None) -> bytes:
    """Return bytes with their length; null has that of -1."""
    return number(-1) if content is None else number(len(content)) + content


def body(
    delta: int,
    value: bytes | None,
    *,
    key: bytes | None = b"k",
    headers: Sequence[tuple[bytes, bytes | None]] = (),
    count: int | None = None,
    time: int = 0,
) -> bytes:
    """Return what a record is without its length; `count` claims so many headers."""
    parts = [b"\0", number(time), number(delta), nullable(key), nullable(value)]
    named = [nullable(name) + nullable(content) for name, content in headers]
    return b"".join([*parts, number(len(headers) if count is None else count), *named])


def batch(
    *bodies: bytes,
    codec: int = 0,
    count: int | None = None,
    last: int | None = None,
    base: int = 0,
    attributes: int = 0,
    timestamp: int = NOW,
    content: bytes | None = None,
    producer: int = -1,
) -> bytes:
    """Return a batch of the newest format; `content` is its compressed records, whatever they are."""
    if content is None:
        content = CODECS[codec](b"".join(number(len(record)) + record for record in bodies))
    many = len(bodies) if count is None else count
    delta = many - 1 if last is None else last
    checked = struct.pack(
        ">hiqqqhii", codec | attributes, delta, timestamp, timestamp, producer, -1, -1, many
    )
    checked += content
    head = struct.pack(">iBI", 0, 2, calc_crc32c(bytearray(checked)))
    return struct.pack(">qi", base, len(head) + len(checked)) + head + checked


def message(
    offset: int, key: bytes | None, value: bytes | None, *, magic: int, codec: int = 0, time: int = NOW
) -> bytes:
    """Return a message of one of the older formats."""
    checked = struct.pack(">bb", magic, codec) + (struct.pack(">q", time) if magic else b"")
    for part in (key, value):
        checked += struct.pack(">i", -1) if part is None else struct.pack(">i", len(part)) + part
    return struct.pack(">qiI", offset, len(checked) + 4, crc32(checked)) + checked


async def produce(settings: Settings, topic: str, partition: int, raw: bytes) -> int:
    """Write a batch as it is; return its first offset, or raise what the broker says."""
    client = AIOKafkaClient(**connection(settings))
    await client.bootstrap()
    try:
        name = settings.topic_prefix + topic
        await client.set_topics([name])
        leader = client.cluster.leader_for_partition(TopicPartition(name, partition))
        request = ProduceRequest(
            transactional_id=None, required_acks=-1, timeout=20_000, topics=[(name, [(partition, raw)])]
        )
        answer = await client.send(leader, request)
        [(_, [(_, error, offset, *_)])] = answer.topics
        if error:
            raise for_code(error)(f"{topic}-{partition}")
        return int(offset)
    finally:
        await client.close()
