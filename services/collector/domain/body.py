"""The messages of a body: those of an array, or one a line, or one."""

from typing import NamedTuple

import msgspec

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ONE = msgspec.json.Decoder(msgspec.Raw)
_BLANK = b" \t\r\n"


class BodyError(ValueError):
    """These bytes are no array, no lines and no message."""


def messages_of(body: bytes) -> list[bytes]:
    """Return the messages byte for byte, in order; whether each can be read is for who reads it.

    Raises `BodyError` for an array that is cut off or broken, and for a body without a message: where one of
    an array ends cannot be told then, and nothing of it is taken.
    """
    text = body.strip(_BLANK)
    if not text:
        raise BodyError("the body is empty")
    if text.startswith(b"["):
        return _of_array(text)
    return [text] if _is_one(text) else [line for line in text.split(b"\n") if line.strip(_BLANK)]


def _of_array(text: bytes) -> list[bytes]:
    try:
        items = [bytes(item) for item in _ARRAY.decode(text)]
    except (msgspec.DecodeError, RecursionError) as error:
        raise BodyError(f"the array is not JSON: {error}") from error
    if not items:
        raise BodyError("the array is empty")
    return items


def _is_one(text: bytes) -> bool:
    try:
        _ONE.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


class RequestCost(NamedTuple):
    """What a request is worth of what a client may send: a message or a KiB, whichever is more."""

    messages: int
    size: int

    @property
    def units(self) -> int:
        """At least one, whatever was sent."""
        return max(1, self.messages, self.size // 1024)
