"""Which messages are taken, and how they are written; read as the workers read them from the topic."""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from schemas.catalogue import ProductChange
from schemas.search import SearchEvent, SearchQuery
from schemas.wire import SkippedMessage, WireError, decode_event, decode_query, read_change
from shared.records import Outgoing

CLOCKS_AGREE = timedelta(seconds=2)
"""What lies between a page's clock and ours that may be the way here."""
RESERVED = ("history", "ranking")
"""What only files of the past and our own search say: a visitor who says it would count without limit."""
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL = b"null"


class Receipt(NamedTuple):
    """When a request came, by our clock; and when it was sent, by the page's, if it says so."""

    received: datetime
    sent: datetime | None = None

    def by_our_clock(self, moment: datetime) -> datetime:
        """Return a moment of the page's clock on ours; as it is where the two agree, or nothing is known."""
        ahead = timedelta() if self.sent is None else self.sent - self.received
        try:
            return moment if abs(ahead) <= CLOCKS_AGREE else moment - ahead
        except OverflowError:
            return self.received


class Rejection(NamedTuple):
    """Why a message was not taken."""

    reason: str
    explanation: str


Reader = Callable[[bytes, Receipt], Outgoing | Rejection]
"""Turns one message of a body into what is written."""


def read_event(value: bytes, receipt: Receipt) -> Outgoing | Rejection:
    """Take a UBI event; one without a time happened when it came."""
    return _taken(value, receipt, decode_event)


def read_query(value: bytes, receipt: Receipt) -> Outgoing | Rejection:
    """Take a UBI query, of a shop that searches by an engine of its own."""
    return _taken(value, receipt, decode_query)


def _taken(
    value: bytes, receipt: Receipt, decode: Callable[[bytes], SearchEvent | SearchQuery]
) -> Outgoing | Rejection:
    """Return it as it came, but for its time, where that is missing or by a clock that is wrong."""
    try:
        timed = _timed(value, receipt)
        message = decode(timed)
    except WireError as error:
        return Rejection(error.reason, error.explanation)
    reserved = [name for name in RESERVED if getattr(message, name, None)]
    if reserved:
        return Rejection("field.reserved", f"{reserved[0]!r} is not for the collector: leave it out")
    right = receipt.by_our_clock(message.timestamp)
    written = timed if right == message.timestamp else _at(timed, right)
    return Outgoing(topic=message.topic, key=message.key(), value=written)


def _timed(value: bytes, receipt: Receipt) -> bytes:
    try:
        stated = bytes(_FIELDS.decode(value).get("timestamp", _NULL)).strip()
    except (msgspec.DecodeError, RecursionError):
        return value  # whoever decodes it says what is wrong
    moment = receipt.sent or receipt.received
    return _at(value, moment) if stated == _NULL else value


def _at(value: bytes, moment: datetime) -> bytes:
    fields = _FIELDS.decode(value)
    return msgspec.json.encode({**fields, "timestamp": moment.isoformat(timespec="milliseconds")})


def change_reader(parts: Collection[str]) -> Reader:
    """Return what takes catalogue changes; `parts` are `CatalogueSettings.parts`."""

    def named(value: bytes, key: bytes | None, receipt: Receipt) -> str:
        at = receipt.received
        return read_change(
            key=key, value=value, headers=(), timestamp=at, offset=0, parts=parts
        ).change.product_id

    def read(value: bytes, receipt: Receipt) -> Outgoing | Rejection:
        try:
            product_id = named(value, None, receipt)
            key = product_id.encode()
            if named(value, key, receipt) != product_id:  # with a key it may be of another form
                return Rejection("form.unknown", "the message says two different products")
        except SkippedMessage as message:
            return Rejection(
                "message.skipped", f"a connector's own message ({message.kind}) changes no product"
            )
        except WireError as error:
            return Rejection(error.reason, error.explanation)
        return Outgoing(topic=ProductChange.topic, key=key, value=value)

    return read
