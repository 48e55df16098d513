"""Loads of a catalogue's files: which products each of them brought, told by where its messages lie."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from schemas.base import Identifier, Message, Timestamp
from schemas.control import OffsetRange

LOAD_HEADER = "headrace.load"
"""The header of a change that says which load its product is of; a delete has none."""

SourceName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,128}$")]


class CatalogueLoad(Message):
    """A load of a source. Its products are the keys of the changes in `ranges` that have its id as header.

    A load that began and is not done may still be writing behind the ends of its ranges. When one is done
    that replaces its source, those before it are removed: what is left counts as loaded.
    """

    topic: ClassVar[str] = "catalogue.loads.v1"

    source: SourceName
    load_id: Identifier
    status: Literal["begun", "done"]
    began_at: Timestamp | None = None
    """By the broker's clock, when the first message of the load was appended: the version of its products."""
    log: str = ""
    """The identity of the topic that the ranges are of; empty: the broker knows none."""
    ranges: tuple[OffsetRange, ...] = ()
    products: Annotated[int, Field(ge=0)] = 0
    deleted: Annotated[int, Field(ge=0)] = 0

    def key(self) -> bytes:
        """Return source and load."""
        return f"{self.source}\t{self.load_id}".encode()
