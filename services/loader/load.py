"""A load of a catalogue: look, announce, write, delete what is gone, say that it is done."""

import secrets
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import numpy as np

from schemas.base import EPOCH, MILLISECOND, milliseconds
from schemas.catalogue import ProductChange
from schemas.loads import LOAD_HEADER, CatalogueLoad
from services.loader.connecting import publishing
from services.loader.delivery import AT_ONCE, Delivery, DeliveryObserver, LoadTally, Made
from services.loader.domain.columns import FieldMapping
from services.loader.domain.products import ProductReader, delete, presence
from services.loader.domain.rows import FileRow, LineFault, visible
from services.loader.formats.content import STDIN
from services.loader.manifests import Begun, announced, begin, finish
from services.loader.replace import SHARE, find_gone
from services.loader.request import LoadRequest
from services.loader.resume import LoadCheckpoint, LoadState, StateFile, state_of
from services.loader.survey import FileSurvey, surveyed
from shared.errors import ConfigurationError
from shared.kafka.client import require_cluster
from shared.kafka.partitioning import partition_of
from shared.kafka.publisher import KafkaPublisher
from shared.records import Headers, Outgoing
from shared.settings import Settings


class LoadObserver(DeliveryObserver, Protocol):
    """Who shows a load of a catalogue."""

    def surveyed(self, survey: FileSurvey, reading: FieldMapping) -> None:
        """Take a file that is about to be read, and how."""
        ...

    def resumed(self, state: LoadState) -> None:
        """Take where a load goes on that was begun before."""
        ...


@dataclass(frozen=True, slots=True)
class Replacement:
    """What became of what a source had before."""

    before: int
    missing: int
    nameless: int
    """Lines that do not say whose they are: what is missing may be theirs."""
    unreadable: int
    """Earlier loads of which the topic has not everything any more."""
    refused: bool
    """Nothing was deleted: it would be too much, or is not certain."""


@dataclass(slots=True)
class LoadReport:
    """What a load did."""

    source: str
    load_id: str
    began_at: datetime
    tally: LoadTally = field(default_factory=LoadTally)
    repeated: int = 0
    """Rows whose product had a row before; the last one counts."""
    unchanged: bool = False
    """These very files are loaded already; nothing was done."""
    damage: str = ""
    replacement: Replacement | None = None


async def load_products(settings: Settings, request: LoadRequest, observer: LoadObserver) -> LoadReport:
    """Write every product of the files, and delete what is gone if that was asked for.

    Raises `ConfigurationError` for files that cannot be read as products, before anything is written, and
    `TransientError` when the broker stays away: the same call goes on from there.
    """
    cluster = await require_cluster(settings, [ProductChange.topic, CatalogueLoad.topic])
    changes = cluster.topics[ProductChange.topic]
    with state_of(request, settings.data_dir, log=f"{cluster.cluster} {changes.identity}") as kept:
        async with publishing(settings) as publisher:
            load = _CatalogueLoad(settings, request, observer, publisher=publisher, kept=kept)
            return await load.run(changes.partitions, changes.identity)


def check_files(request: LoadRequest) -> None:
    """Raise what is wrong with any file before the first is loaded; standard input is read once only."""
    for name in request.files:
        if name != STDIN:
            with surveyed(name, request.options) as survey:
                survey.reading(request.options)


class _CatalogueLoad:
    """One load while it runs."""

    def __init__(
        self,
        settings: Settings,
        request: LoadRequest,
        observer: LoadObserver,
        *,
        publisher: KafkaPublisher,
        kept: StateFile,
    ) -> None:
        self._settings = settings
        self._request = request
        self._observer = observer
        self._publisher = publisher
        self._kept = kept
        self._delivery = Delivery(publisher, observer, wait=request.wait)
        self._ids = array("q")
        """A hash of each row's product."""
        self._kept_as_they_are = 0
        """Rows that could not be loaded, of products that are known."""

    async def run(self, partitions: int, log: str) -> LoadReport:
        """Load the files from where they stand."""
        if (done := self._kept.load()) is not None and done.finished and self._request.once:
            began_at = EPOCH + done.began_at * MILLISECOND
            return LoadReport(self._request.source, done.load_id, began_at, unchanged=True)
        before = self._kept.unfinished(restart=self._request.restart)
        check_files(self._request)
        begun = await self._begun(before, log)
        if before is not None:
            self._observer.resumed(before)
        state = before or LoadState(load_id=begun.manifest.load_id, began_at=milliseconds(begun.began_at))
        at = LoadCheckpoint(self._kept, state)
        report = LoadReport(self._request.source, state.load_id, begun.began_at)
        for number, name in enumerate(self._request.files):
            await self._load(name, number, at=at, report=report, partitions=partitions)
        products = len(np.unique(np.frombuffer(self._ids, np.int64)))
        report.repeated = len(self._ids) - products
        if report.damage:
            return report
        gone = None
        if self._request.replace:
            nameless = report.tally.lost - self._kept_as_they_are
            gone = report.replacement = await self._replace(begun, log, nameless)
        if gone is None or not gone.refused:
            deleted = None if gone is None else gone.missing
            await finish(self._settings, self._publisher, begun, products=products, deleted=deleted)
            at.finish()
        return report

    async def _begun(self, state: LoadState | None, log: str) -> Begun:
        """Announce the load, or find it again; raises `ConfigurationError` when a later one began."""
        manifest = CatalogueLoad(
            source=self._request.source,
            load_id=state.load_id if state else secrets.token_hex(8),
            status="begun",
            log=log,
        )
        if state is None:
            return await begin(self._settings, self._publisher, manifest)
        begun = await announced(self._settings, manifest, EPOCH + state.began_at * MILLISECOND)
        if later := begun.later:
            raise ConfigurationError(
                f"this load of source {visible(self._request.source)} was stopped, and a later one began at "
                f"{later.began_at:%Y-%m-%d %H:%M:%S}, which counts: --restart loads these files anew"
            )
        return begun

    async def _load(
        self, name: str, number: int, *, at: LoadCheckpoint, report: LoadReport, partitions: int
    ) -> None:
        """Write the products of one file; `at` says what is acknowledged already."""
        with surveyed(name, self._request.options) as survey:
            kept = at.state.readings[number : number + 1]
            reading = kept[0] if kept else survey.reading(self._request.options)
            self._observer.surveyed(survey, reading)
            at.read_as(number, reading)
            make = self._maker(reading, begun=report.began_at, load_id=report.load_id, partitions=partitions)
            tally = await self._delivery.deliver(map(make, survey.rows), report.tally.units, at)
            report.tally.add(tally)
            report.damage = report.damage or survey.content.damage

    def _maker(
        self, reading: FieldMapping, *, begun: datetime, load_id: str, partitions: int
    ) -> Callable[[FileRow | LineFault], Made]:
        """Return what makes a row's change; a row that cannot be loaded still says whose it is."""
        moment = _iso(begun)
        reader = ProductReader(reading, moment, self._request.texts)
        headers: Headers = ((LOAD_HEADER, load_id.encode()),)

        def make(unit: FileRow | LineFault) -> Made:
            if isinstance(unit, LineFault):
                return Made.of(unit)
            product_id, value, faults = reader.read(unit)
            if not product_id:
                return Made(unit.line, (), faults)
            self._ids.append(hash(product_id))
            if value is None:
                value = presence(product_id, moment)
                self._kept_as_they_are += 1
            key = product_id.encode()
            place = partition_of(key, partitions)
            return Made(unit.line, (Outgoing(ProductChange.topic, key, value, headers, place),), faults)

        return make

    async def _replace(self, begun: Begun, log: str, nameless: int) -> Replacement:
        """Delete what is gone, unless that is too much of the source or is not certain."""
        gone = await find_gone(self._settings, begun.earlier, self._ids, log=log)
        uncertain = nameless > 0 and bool(gone.missing)
        refused = not self._request.yes and (gone.share > SHARE or uncertain)
        if not refused:
            moment = _iso(begun.began_at)
            for start in range(0, len(gone.missing), AT_ONCE):
                ids = gone.missing[start : start + AT_ONCE]
                await self._delivery.publish([self._delete(product_id, moment) for product_id in ids])
        return Replacement(gone.before, len(gone.missing), nameless, gone.unreadable, refused)

    @staticmethod
    def _delete(product_id: str, moment: str) -> Outgoing:
        return Outgoing(ProductChange.topic, product_id.encode(), delete(product_id, moment))


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
