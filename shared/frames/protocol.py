"""A frame: which question it belongs to, what kind it is, and bytes. It is one binary message of a WebSocket.

The connection is one of RFC 6455 on the worker's own HTTP port: who may open it is decided by its headers, as
for any other request, and how large a message may be before it is read is the library's business.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

PATH = "/frames"
MAX_FRAME = 8 << 20
"""Bytes of a frame: thousands of candidates with their scores, or a hundred long documents."""
_HEAD = struct.Struct("<IB")


class FrameKind(IntEnum):
    """What a frame asks, or how it answers."""

    CANDIDATES = 1
    DOCUMENTS = 2
    STATISTICS = 3
    ANSWER = 16
    REFUSAL = 17
    """The question is understood, and is not answered: the reason is in the body."""
    MALFORMED = 18
    """The question is not understood: why is in the body, in words."""


class Frame(NamedTuple):
    """A question, or the answer of the same number."""

    number: int
    kind: int
    body: bytes

    def encode(self) -> bytes:
        """Return it on the wire."""
        return _HEAD.pack(self.number, self.kind) + self.body

    @classmethod
    def decode(cls, message: bytes) -> "Frame":
        """Read a frame; raises `ValueError` when it is none."""
        if len(message) < _HEAD.size:
            raise ValueError(f"a frame has {_HEAD.size} bytes at least, this one {len(message)}")
        number, kind = _HEAD.unpack_from(message)
        return cls(number, kind, message[_HEAD.size :])
