"""What a batch makes of the products that a shard has: which are new, which are gone, which say other things.

An attribute record is joined with what the shard has of its product. Where no words come of it that were not
there, the product stays where it is and has another state; otherwise it is put in anew, with its vectors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from msgspec.structs import replace

from schemas.base import Coordinates, FieldValue
from schemas.catalogue import Document
from schemas.index import AttributeRecord, IndexRecord, Passage
from services.shards.domain.apply import supersedes
from services.shards.part import Details, PartView, State, StateChange, fragment, parsed
from services.shards.products import has_words, split
from services.shards.records import AttributeEntry, LogEntry, ShardEntry
from shared.catalogue.documents import absorb, fields_of


class Held(NamedTuple):
    """A product that lives in a shard."""

    part: PartView
    place: int


class Holdings(Protocol):
    """What a shard has before a batch."""

    def epoch(self, product_id: str) -> int | None:
        """Return under which epoch a product was merged, one that was deleted too; None: it is not known."""
        ...

    def held(self, product_id: str) -> Held | None:
        """Return where a product lives; None: it does not."""
        ...


@dataclass(slots=True)
class BatchEffect:
    """What changes: whole products by id, in the order of the log, and states of others."""

    products: dict[str, LogEntry] = field(default_factory=dict)
    states: dict[str, tuple[PartView, StateChange]] = field(default_factory=dict)
    applied: int = 0
    """So many entries had an effect."""


def effect_of(entries: Sequence[ShardEntry], holdings: Holdings, *, model: tuple[str, int]) -> BatchEffect:
    """Return what the entries change; `model` is the shard's fingerprint and dimensions.

    An attribute record whose index record is not here (it was deleted, or is of another text, or of a later
    epoch) says nothing: an index record that lies behind it says all of it.
    """
    effect = BatchEffect()
    for entry in entries:
        if isinstance(entry, LogEntry):
            effect.applied += _replaced(effect, entry, holdings)
        else:
            effect.applied += _joined(effect, entry, holdings, model=model)
    return effect


def _replaced(effect: BatchEffect, entry: LogEntry, holdings: Holdings) -> bool:
    product_id = entry.product_id
    if (earlier := effect.products.get(product_id)) is not None:
        known = earlier.epoch
    elif product_id in effect.states:
        known = effect.states[product_id][1].epoch
    else:
        known = holdings.epoch(product_id)
    if not supersedes(entry.epoch, known):
        return False
    effect.states.pop(product_id, None)
    effect.products.pop(product_id, None)
    effect.products[product_id] = entry
    return True


def _joined(
    effect: BatchEffect, entry: AttributeEntry, holdings: Holdings, *, model: tuple[str, int]
) -> bool:
    product_id, record = entry.product_id, entry.record
    if (earlier := effect.products.get(product_id)) is not None:
        whole = earlier.record
        if whole is None or whole.deleted or not record.belongs_to(whole.content_hash, whole.epoch):
            return False
        document = absorb(whole.document, record.changes)
        effect.products[product_id] = LogEntry(
            product_id, entry.offset, _merged(whole, document, record), earlier.vectors, entry.replayed
        )
        return True
    held = holdings.held(product_id)
    if held is None:
        return False
    before, changed = _state_before(effect, product_id, held)
    details = before.read_details()
    if not record.belongs_to(details.content_hash, details.epoch):
        return False
    state = _without_words(held.part.texts[held.place], before, record)
    if state is not None:
        changes = {**changed, **differences(before, state)}
        change = StateChange(held.place, entry.offset, record.epoch, state, changes)
        effect.states[product_id] = (held.part, change)
    else:
        effect.states.pop(product_id, None)
        effect.products[product_id] = _anew(held, before, entry, model=model)
    return True


def _state_before(effect: BatchEffect, product_id: str, held: Held) -> tuple[State, Mapping[str, FieldValue]]:
    """Return the state that counts so far, and what differs in it from the one that the shard has."""
    if product_id in effect.states:
        change = effect.states[product_id][1]
        return change.state, change.changed
    return held.part.state(held.place), {}


def _without_words(text: bytes, before: State, record: AttributeRecord) -> State | None:
    """Return the joined state if the product's words stay what they are (`text`); None: they may not."""
    details = before.read_details()
    attributes = fields_of(parsed(before.attributes))
    if _is_apart(text, attributes, details.document, changes=record.changes):
        document = absorb(replace(details.document, fields=attributes), record.changes)
        if any(map(has_words, document.fields.values())):
            return None
        return State.of(document.fields, _details(details, document, record))
    fields = {**fields_of(parsed(text)), **attributes}
    document = absorb(replace(details.document, fields=fields), record.changes)
    texts, others = split(document.fields)
    if fields_of(parsed(text)) != texts:
        return None
    return State.of(others, _details(details, document, record))


def _is_apart(
    text: bytes, attributes: Mapping[str, FieldValue], document: Document, *, changes: Document
) -> bool:
    """Say whether the changes are patches of attributes that have nothing to do with those with words.

    Then they may be merged without these: reading them again and again is most of what a price would cost.
    """
    if any(revision.op != "patch" or revision.replaces for revision in changes.revisions):
        return False
    if not document.owners.keys() <= attributes.keys():
        return False
    # A name that a text has too, or one that begins with it: perhaps the one is nested in the other.
    return not any(b'"' + name.partition(".")[0].encode() in text for name in changes.fields)


def _details(before: Details, document: Document, record: AttributeRecord) -> Details:
    source = record.source
    return replace(
        before,
        source=(source.topic, source.partition, source.offset),
        epoch=record.epoch,
        event_time=record.event_time,
        document=replace(document, fields={}),
    )


def differences(before: State, after: State) -> dict[str, FieldValue]:
    """Return the attributes that are not as they were; null where there is none any more."""
    old, new = parsed(before.attributes), parsed(after.attributes)
    return {
        name: new.get(name)
        for name in {**old, **new}
        if fragment({name: old.get(name)}) != fragment({name: new.get(name)})
    }


def _anew(held: Held, before: State, entry: AttributeEntry, *, model: tuple[str, int]) -> LogEntry:
    """Return the product with the changes as an index record would have it; its vectors are those it has."""
    part, place = held
    details = before.read_details()
    fields = fields_of(parsed(part.texts[place], before.attributes))
    whole = record_of(part.product_id(place), details, fields, model=model)
    vectors = part.rows.vectors[part.rows.of(place)]
    document = absorb(whole.document, entry.record.changes)
    merged = _merged(whole, document, entry.record)
    return LogEntry(entry.product_id, entry.offset, merged, np.array(vectors), entry.replayed)


def record_of(
    product_id: str, details: Details, fields: Mapping[str, FieldValue], *, model: tuple[str, int]
) -> IndexRecord:
    """Return a product as its index record had it, without its text and vectors."""
    topic, partition, offset = details.source
    fingerprint, dimensions = model
    return IndexRecord.unchecked(
        {
            "product_id": product_id,
            "document": replace(details.document, fields=fields),
            "text": "",
            "language": "",
            "content_hash": details.content_hash,
            "fingerprint": fingerprint,
            "dimensions": dimensions,
            "passages": tuple(Passage.unchecked({"start": s, "end": e}) for s, e in details.passages),
            "vectors": b"",
            "source": Coordinates.unchecked({"topic": topic, "partition": partition, "offset": offset}),
            "epoch": details.epoch,
            "event_time": details.event_time,
        }
    )


def _merged(record: IndexRecord, document: Document, attributes: AttributeRecord) -> IndexRecord:
    return record.model_copy(
        update={
            "document": document,
            "source": attributes.source,
            "epoch": attributes.epoch,
            "event_time": attributes.event_time,
        }
    )
