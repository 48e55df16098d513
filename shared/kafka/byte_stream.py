"""Bytes that come in pieces, read in order: numbers, strings, and strings of which only the head is kept."""

import struct
from collections.abc import Iterator
from hashlib import sha256

from shared.records import HEAD_BYTES, Excerpt

LONGEST_NUMBER_BITS = 70


class BreaksOffError(ValueError):
    """There is less than was announced, or a number that Kafka's format does not have."""


class ByteStream:
    """What is left of some pieces, of which at most `limit` bytes are drawn.

    Everything raises `BreaksOffError` when there is not enough left.
    """

    def __init__(self, pieces: Iterator[bytes], *, limit: int) -> None:
        self._pieces = pieces
        self._left = limit
        self._piece = b""
        self._at = 0

    @property
    def empty(self) -> bool:
        """Whether nothing is left."""
        if self._at == len(self._piece):
            try:
                self._next_piece()
            except BreaksOffError:
                return True
        return False

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        if 0 <= count <= len(self._piece) - self._at:
            self._at += count
            return self._piece[self._at - count : self._at]
        return b"".join(self.draw(count))

    def draw(self, count: int) -> Iterator[bytes]:
        """Yield the next `count` bytes in pieces."""
        if count < 0:
            raise BreaksOffError(f"a length of {count}")
        while count:
            if self._at == len(self._piece):
                self._next_piece()
            part = self._piece[self._at : self._at + count]
            self._at += len(part)
            count -= len(part)
            yield part

    def excerpt(self, name: str, count: int) -> tuple[bytes, Excerpt]:
        """Return the head of the next `count` bytes, and what the whole was."""
        head, digest = bytearray(), sha256()
        for part in self.draw(count):
            digest.update(part)
            head += part[: HEAD_BYTES - len(head)]
        return bytes(head), Excerpt(name, count, digest.hexdigest())

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """Return the numbers of a fixed layout."""
        return layout.unpack(self.take(layout.size))

    def number(self) -> int:
        """Return a signed number of variable length, as protobuf writes it (zigzag)."""
        number = shift = 0
        while True:
            [byte] = self.take(1)
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
            shift += 7
            if shift >= LONGEST_NUMBER_BITS:
                raise BreaksOffError("a number of more than ten bytes")

    def _next_piece(self) -> None:
        for piece in self._pieces:
            if not self._left:
                break
            if piece:
                self._piece, self._at = piece[: self._left], 0
                self._left -= len(self._piece)
                return
        raise BreaksOffError("it is longer than what is read of it" if not self._left else "it breaks off")
