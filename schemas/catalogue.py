"""Catalogue changes, and the document that they merge into."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from msgspec import Meta
from pydantic import StringConstraints

from schemas.base import FieldValue, Message, ProductId, Timestamp, Version
from schemas.parts import Part

Operation = Literal["upsert", "patch", "delete"]


class ProductChange(Message):
    """One product was written whole, patched or deleted; `version` orders the writes of one product.

    A patch writes every attribute that it names as a whole: at its version it takes away `name.*` of each
    name in `fields`, and `name` and `name.*` of each in `replaces`, but for what `fields` has of them. An
    upsert leaves `name` and `name.*` of each name in `kept` as they were.
    """

    topic: ClassVar[str] = "catalogue.changes.v1"

    product_id: ProductId
    op: Operation
    version: Version | None = None
    """Absent: the event time orders it, or where it lies in the topic."""
    event_time: Timestamp
    fields: Mapping[str, FieldValue] = {}
    replaces: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def key(self) -> bytes:
        """Return the product id."""
        return self.product_id.encode()


class Acceptance(Message):
    """A source's versions went back, and what it wrote from then on is the truth all the same.

    Changes of its lines that were appended `since` are of a new *timeline* (PostgreSQL's word for what
    follows a restore): higher than all that was appended before, whatever their versions are.
    """

    topic: ClassVar[str] = "catalogue.acceptances.v1"

    source: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    """A line of versions as the alert `older-changes` names it (`version`, `time`,
    `debezium/postgresql/shop`), or what several begin with up to a `/`."""
    since: Timestamp
    """The time that the broker gave the first of them; whole milliseconds count."""
    reason: str = ""
    requested_at: Timestamp

    def key(self) -> bytes:
        """Return the source."""
        return self.source.encode()


class Appended(NamedTuple):
    """When and where the broker appended a message: what comes later is larger."""

    milliseconds: int
    """Since 1970, by the broker's clock."""
    partition: int
    offset: int


UNSTATED = Appended(0, 0, 0)
"""Of what an earlier version merged, which remembered no more than its number."""


class Stamp(NamedTuple):
    """What orders a change among the changes of its product; see `shared.catalogue.documents`."""

    line: str
    """The line of versions that it belongs to. Versions of different lines do not compare."""
    version: tuple[int, ...]
    appended: Appended
    digest: str = ""
    """Of what the change says: tells a repetition from another change of the same version."""
    partial: bool = False
    """Its line writes a part of the product: it neither creates nor deletes it, and hides only its own."""
    timeline: int = 0
    """When its source was accepted anew, in milliseconds since 1970: whatever is of a later timeline of its
    line is higher. 0: of the first."""


class StampedChange(Part, frozen=True, gc=False):
    """A `ProductChange` as it was read from the bus, checked, with what orders it."""

    product_id: str
    op: Operation
    event_time: datetime
    stamp: Stamp
    version: int | None = None
    fields: Mapping[str, FieldValue] = {}
    replaces: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


class Revision(Part, frozen=True, omit_defaults=True, gc=False):
    """A change that still counts in a document: what orders it, and what of it is not visible elsewhere.

    `fields` has those of its values that are in the document's own `fields` by another revision, or hidden.
    """

    line: str
    version: tuple[int, ...]
    appended: Appended = UNSTATED
    digest: str = ""
    partial: bool = False
    timeline: int = 0
    op: Operation = "upsert"
    fields: Mapping[str, FieldValue] = {}
    replaces: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[int, tuple[int, ...], Appended]:
        """What orders the revisions of one line."""
        return self.timeline, self.version, self.appended


class Document(Part, frozen=True, omit_defaults=True, gc=False):
    """A product as the merge of all its changes (see `shared.catalogue.documents` for the rule).

    `fields` is what is visible. `base` is the whole write or delete that counts, as a place in `revisions`
    (-1: there was none), and `owners` names the revisions that the other fields come from. A product exists
    while its base is a whole write: a patch alone creates nothing.
    """

    fields: Mapping[str, FieldValue] = {}
    revisions: tuple[Revision, ...] = ()
    base: int = -1
    owners: Mapping[str, Annotated[int, Meta(ge=0)]] = {}

    @property
    def exists(self) -> bool:
        """Whether the product is in the catalogue."""
        return self.base >= 0 and self.revisions[self.base].op == "upsert"

    def owner(self, name: str) -> Revision:
        """Return the revision that a visible field comes from."""
        return self.revisions[self.owners.get(name, self.base)]

    @classmethod
    def of_json(cls, data: Any) -> Any:  # Any: JSON
        """Return a document of the first layout as one of this."""
        return _from_versions(data) if isinstance(data, dict) and _OF_LAYOUT_ONE & data.keys() else data


LEGACY = "legacy"
"""The line of what an earlier version merged: it counts until a change is read again that says it all."""
_OF_LAYOUT_ONE = {"versions", "upserted", "deleted"}


def _from_versions(data: Mapping[str, Any]) -> dict[str, Any]:  # Any: JSON
    """Return a document of the first layout, where each field had one number, as a line of its own."""
    stated = data.get("versions", {})
    written, deleted = data.get("upserted", -1), data.get("deleted", -1)
    whole = max(written, deleted)
    patches = sorted({version for version in stated.values() if version != whole})
    before = {} if whole < 0 else {whole: "upsert" if written > deleted else "delete"}
    ops = {**before, **dict.fromkeys(patches, "patch")}
    places = {version: place for place, version in enumerate(sorted(ops))}
    return {
        "fields": data.get("fields", {}),
        "revisions": [{"line": LEGACY, "version": (version,), "op": ops[version]} for version in sorted(ops)],
        "base": places.get(whole, -1),
        "owners": {name: places[version] for name, version in stated.items() if version != whole},
    }
