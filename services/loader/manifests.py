"""The loads of a source, as `catalogue.loads.v1` has them: begun, done, replaced."""

from dataclasses import dataclass
from datetime import datetime

from schemas.base import EPOCH, MILLISECOND, milliseconds
from schemas.catalogue import ProductChange
from schemas.control import OffsetRange
from schemas.loads import CatalogueLoad
from shared.kafka.compacted import CompactedTopic, read_item, read_once
from shared.kafka.topic_reader import TopicReader
from shared.ports import Publisher, outgoing
from shared.records import Outgoing
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Begun:
    """A load that was announced. Its time is the broker's: of two loads of a product the later one counts."""

    manifest: CatalogueLoad
    began_at: datetime
    others: tuple[CatalogueLoad, ...]
    """Loads of the source that were not replaced, each with its time."""

    @property
    def later(self) -> CatalogueLoad | None:
        """One that began after this one."""
        return next((load for load in self.others if load.began_at and load.began_at > self.began_at), None)

    @property
    def earlier(self) -> list[CatalogueLoad]:
        """Those that began before this one."""
        return [load for load in self.others if load.began_at and load.began_at < self.began_at]


async def begin(settings: Settings, publisher: Publisher, manifest: CatalogueLoad) -> Begun:
    """Announce a load, and return it with the time that the broker gave it."""
    manifest = manifest.model_copy(update={"ranges": await _ends(settings)})
    await publisher.publish([outgoing(manifest)])
    known = await read_once(settings, CatalogueLoad.topic)
    began_at = _whole(known.records[manifest.key()].timestamp)
    return Begun(manifest, began_at, _others(known, manifest))


async def announced(settings: Settings, manifest: CatalogueLoad, began_at: datetime) -> Begun:
    """Return a load that was announced before, as the topic has it now."""
    known = await read_once(settings, CatalogueLoad.topic)
    kept = read_item(CatalogueLoad, known.items.get(manifest.key()))
    return Begun(kept or manifest, began_at, _others(known, manifest))


async def finish(
    settings: Settings, publisher: Publisher, begun: Begun, *, products: int, deleted: int | None
) -> None:
    """Say that a load is done, and remove those that it replaces; `deleted` None: it replaces none."""
    ends = {part.partition: part.end for part in await _ends(settings)}
    ranges = [part.model_copy(update={"end": ends.pop(part.partition)}) for part in begun.manifest.ranges]
    ranges += [
        OffsetRange(topic=ProductChange.topic, partition=number, start=0, end=end)
        for number, end in ends.items()
    ]
    facts = {
        "status": "done",
        "ranges": tuple(ranges),
        "began_at": begun.began_at,
        "products": products,
        "deleted": deleted or 0,
    }
    done = begun.manifest.model_copy(update=facts)
    replaced = [] if deleted is None else begun.earlier
    await publisher.publish(
        [outgoing(done), *(Outgoing(CatalogueLoad.topic, load.key(), None) for load in replaced)]
    )


def _others(known: CompactedTopic, manifest: CatalogueLoad) -> tuple[CatalogueLoad, ...]:
    loads = []
    for record in known.records.values():
        load = read_item(CatalogueLoad, record.value)
        if load and load.source == manifest.source and load.load_id != manifest.load_id:
            loads.append(load.model_copy(update={"began_at": load.began_at or _whole(record.timestamp)}))
    return tuple(loads)


async def _ends(settings: Settings) -> tuple[OffsetRange, ...]:
    async with TopicReader(settings, [ProductChange.topic]) as reader:
        ends = await reader.find_ends()
    return tuple(
        OffsetRange(topic=at.topic, partition=at.number, start=end, end=end) for at, end in ends.items()
    )


def _whole(moment: datetime) -> datetime:
    return EPOCH + milliseconds(moment) * MILLISECOND
