"""What may arrive from outside, and how it is read: pure functions from bytes to messages.

`catalogue` says which forms a catalogue change may have and how they are told apart, `messages` reads UBI
queries and events and our own messages, `errors.REASONS` lists every reason for which a message is refused.
"""

from schemas.wire.catalogue import read_change
from schemas.wire.change import DecodedChange, clamp_event_time
from schemas.wire.errors import REASONS, WireError
from schemas.wire.messages import decode_event, decode_message, decode_query
from schemas.wire.skipped import SkippedMessage

__all__ = [
    "REASONS",
    "DecodedChange",
    "SkippedMessage",
    "WireError",
    "clamp_event_time",
    "decode_event",
    "decode_message",
    "decode_query",
    "read_change",
]
