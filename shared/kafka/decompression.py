"""What a batch is uncompressed, a piece at a time: no batch is ever held whole, however small it came.

A few kilobytes may say gigabytes, and aiokafka decompresses a batch at once, into memory. Here whoever
reads decides after each piece whether to go on.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping

import cramjam
from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

PIECE_BYTES = 256 * 1024
LARGEST_BLOCK_BYTES = 64 * 1024 * 1024
"""A block of Snappy says how long it is and comes out whole; a longer one is refused."""
LONGEST_WINDOW = 27
"""The logarithm of the window that Zstandard may ask for: 128 MiB, as the broker's own limit is."""
XERIAL = b"\x82SNAPPY\0"
XERIAL_HEADER_BYTES = 16
LZ4_MAGIC = 0x184D2204
LZ4_INDEPENDENT, LZ4_BLOCK_CHECKSUM, LZ4_SIZE, LZ4_CHECKSUM, LZ4_DICTIONARY = 0x20, 0x10, 0x08, 0x04, 0x01
LZ4_PLAIN = 1 << 31


class CodecError(ValueError):
    """It cannot be decompressed: broken off, not of that codec, or of none that Kafka knows."""


def pieces(codec: int, compressed: bytes) -> Iterator[bytes]:
    """Yield what was compressed, in order, in pieces of bounded size; `codec` as Kafka numbers them.

    Raises `CodecError`, after what came out before the fault.
    """
    decompress = _CODECS.get(codec)
    if decompress is None:
        raise CodecError(f"compression codec {codec} is none of Kafka's")
    try:
        yield from decompress(compressed)
    except (zlib.error, ZstdError, cramjam.DecompressionError, struct.error) as error:
        raise CodecError(f"it cannot be decompressed (codec {codec}): {error}") from error


def _plain(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), PIECE_BYTES):
        yield content[start : start + PIECE_BYTES]


def _gzip(compressed: bytes) -> Iterator[bytes]:
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    for part in _plain(compressed):
        left = part
        while left:
            if member.eof:
                member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            yield member.decompress(left, PIECE_BYTES)
            left = member.unused_data if member.eof else member.unconsumed_tail
    while not member.eof and (piece := member.decompress(b"", PIECE_BYTES)):
        yield piece
    if not member.eof:
        raise CodecError("gzip: it breaks off")


def _zstd(compressed: bytes) -> Iterator[bytes]:
    left = compressed
    while left:
        frame = ZstdDecompressor(options={DecompressionParameter.window_log_max: LONGEST_WINDOW})
        while not frame.eof:
            piece = frame.decompress(left, PIECE_BYTES)
            left = b""
            yield piece
            if not piece and frame.needs_input and not frame.eof:
                raise CodecError("zstd: it breaks off")
        left = frame.unused_data


def _snappy(compressed: bytes) -> Iterator[bytes]:
    """Yield the blocks of a stream as Java frames it, or the one block that it is without a frame."""
    if not compressed.startswith(XERIAL):
        yield _snappy_block(compressed)
        return
    at = XERIAL_HEADER_BYTES
    while at < len(compressed):
        (size,) = struct.unpack_from(">i", compressed, at)
        at += 4
        if not 0 <= size <= len(compressed) - at:
            raise CodecError("snappy: it breaks off")
        yield _snappy_block(compressed[at : at + size])
        at += size


def _snappy_block(block: bytes) -> bytes:
    length = cramjam.snappy.decompress_raw_len(block)
    if length > LARGEST_BLOCK_BYTES:
        raise CodecError(f"snappy: one block of {length:,} bytes")
    return bytes(cramjam.snappy.decompress_raw(block))


def _lz4(compressed: bytes) -> Iterator[bytes]:
    """Yield the blocks of all frames; linked ones no broker of Kafka takes (KIP-57), nor do we."""
    at = 0
    while at < len(compressed):
        magic, flags, sizes = struct.unpack_from("<IBB", compressed, at)
        if magic != LZ4_MAGIC or not flags & LZ4_INDEPENDENT or flags & LZ4_DICTIONARY:
            raise CodecError("lz4: not a frame of independent blocks")
        largest = 1 << (8 + 2 * (sizes >> 4 & 7))
        at += 7 + (8 if flags & LZ4_SIZE else 0)
        while True:
            (size,) = struct.unpack_from("<I", compressed, at)
            at += 4
            if not size:
                break
            plain, size = size & LZ4_PLAIN, size & ~LZ4_PLAIN
            if size > len(compressed) - at:
                raise CodecError("lz4: it breaks off")
            block = compressed[at : at + size]
            yield block if plain else _lz4_block(block, largest)
            at += size + (4 if flags & LZ4_BLOCK_CHECKSUM else 0)
        at += 4 if flags & LZ4_CHECKSUM else 0


def _lz4_block(block: bytes, largest: int) -> bytes:
    output = bytearray(largest)
    return bytes(output[: cramjam.lz4.decompress_block_into(block, output, output_len=largest)])


_CODECS: Mapping[int, Callable[[bytes], Iterator[bytes]]] = {
    0: _plain,
    1: _gzip,
    2: _snappy,
    3: _lz4,
    4: _zstd,
}
