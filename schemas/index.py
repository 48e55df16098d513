"""Index records: the durable truth of one generation of the index."""

from datetime import datetime
from typing import Annotated, ClassVar, Self, TypeVar

from msgspec import DecodeError
from msgspec.structs import asdict
from pydantic import Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from schemas.base import (
    EPOCH,
    MILLISECOND,
    Coordinates,
    Fingerprint,
    Message,
    ProductId,
    Timestamp,
    Value,
)
from schemas.binary import (
    ATTRIBUTES,
    LANGUAGE,
    AttributesLayout,
    CoordinatesLayout,
    Layout,
    RecordLayout,
    is_binary,
    pack,
    unpack,
)
from schemas.catalogue import UNSTATED, Document

M = TypeVar("M", bound=Message)
Language = Annotated[str, StringConstraints(pattern=LANGUAGE)]
"""A language tag (BCP 47) such as `de` or `zh-Hant`; empty: nobody can tell."""


class Passage(Value):
    """A piece of the embedded text: characters `start` to `end`, and the row of its vector."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]


class IndexRecord(Message):
    """One product, complete: merged document, passages and their vectors, and where it came from.

    `vectors` holds `len(passages) x dimensions` little-endian float16 values, row by row, each row of unit
    length. It is written in binary (see `schemas.binary`), and read in JSON too, as it was written before and
    is shown; there the vectors are in base64url. A deleted product keeps its record, without passages, so
    that the version of its delete outlives compaction. `source` is where the last change lay that was merged
    in. Of two records of one product that of the lower `epoch` (of the product's home) counts for nothing,
    and of one epoch the later in the log counts.
    """

    topic: ClassVar[str] = "index.records"

    product_id: ProductId
    document: Document
    text: str = ""
    language: Language = ""
    """That of the text."""
    content_hash: str = ""
    fingerprint: Fingerprint
    dimensions: Annotated[int, Field(ge=1, le=8192)]
    passages: tuple[Passage, ...] = ()
    vectors: bytes = b""
    source: Coordinates
    epoch: Annotated[int, Field(ge=0)]
    event_time: Timestamp
    """When the change was made, as its producer says; freshness counts from here."""

    def key(self) -> bytes:
        """Return the product id."""
        return self.product_id.encode()

    def encode(self) -> bytes:
        """Return the message in binary."""
        return _encode(self, RecordLayout)

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read a record, in binary or in JSON; raises `pydantic.ValidationError` with what is wrong where."""
        return _decode(cls, value, RecordLayout) if is_binary(value) else super().decode(value)

    @property
    def appended_at(self) -> datetime | None:
        """When the broker appended the last change that was merged in; None: that is not known."""
        return _appended_at(self.document, self.source)

    @property
    def deleted(self) -> bool:
        """Whether this record takes the product out of the index."""
        return not self.document.exists


class AttributeRecord(Message):
    """What a product's index record does not say of it: changes of nothing that its text is made of.

    `changes` is a document of those revisions that the index record does not have: absorbed by that record's,
    it gives the product as it is (`shared.catalogue.documents`). It lies in the partition of its index
    record, under a key of its own, so that compaction keeps the last of both. It belongs to an index record
    of its own `content_hash` and of no higher `epoch`; beside any other one, and beside none, it says
    nothing: an index record that is written later says all of it. Where it is ended, its key has a tombstone.
    """

    topic: ClassVar[str] = "index.records.attributes"
    """The name of its schema and its sample; it lies in the topic of its index record."""

    product_id: ProductId
    changes: Document
    content_hash: str
    fingerprint: Fingerprint
    source: Coordinates
    epoch: Annotated[int, Field(ge=0)]
    event_time: Timestamp

    def key(self) -> bytes:
        """Return the product id with a mark that no product id has."""
        return attributes_key(self.product_id)

    def encode(self) -> bytes:
        """Return the message in binary."""
        return _encode(self, AttributesLayout)

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read a record, in binary or in JSON; raises `pydantic.ValidationError` with what is wrong where."""
        return _decode(cls, value, AttributesLayout) if is_binary(value) else super().decode(value)

    @property
    def appended_at(self) -> datetime | None:
        """When the broker appended the last change that was merged in; None: that is not known."""
        return _appended_at(self.changes, self.source)

    def belongs_to(self, content_hash: str, epoch: int) -> bool:
        """Whether it says more of a product whose index record has this hash and epoch."""
        return self.content_hash == content_hash and self.epoch >= epoch


AnyRecord = IndexRecord | AttributeRecord
BINARY: frozenset[type[Message]] = frozenset({IndexRecord, AttributeRecord})
"""What is written in binary; its JSON Schema says what is in the msgpack map."""

_OF_ATTRIBUTES = b"\0attributes"


def attributes_key(product_id: str) -> bytes:
    """Return the key of a product's attribute record."""
    return product_id.encode() + _OF_ATTRIBUTES


def read_record(value: bytes) -> AnyRecord:
    """Read an index record or an attribute record; raises `pydantic.ValidationError` as they do."""
    return AttributeRecord.decode(value) if value.startswith(ATTRIBUTES) else IndexRecord.decode(value)


def _encode(record: Message, layout: type[Layout]) -> bytes:
    fields = vars(record)
    laid_out = {**fields, "source": CoordinatesLayout(**vars(fields["source"]))}
    if "passages" in fields:
        laid_out["passages"] = tuple([(passage.start, passage.end) for passage in fields["passages"]])
    return pack(layout(**laid_out))


def _decode(kind: type[M], value: bytes, layout: type[Layout]) -> M:
    try:
        fields = unpack(value, layout)
    except (DecodeError, ValueError) as error:
        raise _invalid(kind.__name__, str(error)) from error
    fields["source"] = Coordinates.unchecked(asdict(fields["source"]))
    if "passages" in fields:
        spans = fields["passages"]
        fields["passages"] = tuple([Passage.unchecked({"start": start, "end": end}) for start, end in spans])
    return kind.unchecked({name: fields[name] for name in kind.model_fields})  # in their order


def _appended_at(document: Document, source: Coordinates) -> datetime | None:
    appended = [revision.appended for revision in document.revisions]
    place = (source.partition, source.offset)
    of_source = [one for one in appended if (one.partition, one.offset) == place]
    milliseconds = max(of_source or appended, default=UNSTATED).milliseconds
    try:
        return EPOCH + milliseconds * MILLISECOND if milliseconds else None
    except OverflowError:  # no calendar goes there
        return None


def _invalid(kind: str, reason: str) -> ValidationError:
    fault = PydanticCustomError("binary", "{reason}", {"reason": reason})
    return ValidationError.from_exception_data(kind, [{"type": fault, "loc": (), "input": None}])
