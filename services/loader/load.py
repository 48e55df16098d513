"""A load of a catalogue: look, announce, write, delete what is gone, say that it is done."""

import asyncio
import secrets
from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np

from schemas.base import EPOCH, MILLISECOND, milliseconds
from schemas.catalogue import ProductChange
from schemas.loads import LOAD_HEADER, CatalogueLoad
from services.loader.delivery import AT_ONCE, Delivery, DeliveryObserver, LoadTally, Made, batches
from services.loader.domain.columns import FieldMapping
from services.loader.domain.products import ProductReader, delete, presence
from services.loader.domain.rows import FileRow, visible
from services.loader.formats.content import STDIN
from services.loader.manifests import Begun, announced, begin, finish
from services.loader.replace import SHARE, find_gone
from services.loader.request import LoadRequest
from services.loader.resume import LoadState, StateFile, state_of
from services.loader.survey import FileSurvey, surveyed
from shared.errors import ConfigurationError, TransientError
from shared.kafka.connection import no_broker
from shared.kafka.metadata import ClusterMetadata, describe
from shared.kafka.partitioning import partition_of
from shared.kafka.publisher import KafkaPublisher
from shared.records import Headers, Outgoing
from shared.settings import Settings

ANSWERS_WITHIN = timedelta(seconds=5)
SAVED_EVERY = 1.0
"""Seconds: so much at most is written twice when a load that was killed goes on."""


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
    damage: str = ""
    replacement: Replacement | None = None


async def reached(settings: Settings, topics: Sequence[str]) -> ClusterMetadata:
    """Return what the broker has of these topics; raises `TransientError` within five seconds."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN.total_seconds()):
            cluster = await describe(settings, topics)
    except TimeoutError as error:
        raise no_broker(settings) from error
    lacking = [topic for topic in topics if not cluster.topics[topic].partitions]
    if lacking:
        raise TransientError(
            f"the broker at {settings.kafka} has no topic {', '.join(lacking)}",
            cause="kafka.topics",
            fix="headrace topics apply",
        )
    return cluster


@asynccontextmanager
async def publishing(settings: Settings) -> AsyncIterator[KafkaPublisher]:
    """Give a connected publisher; a broker that is away does not keep it from ending."""
    publisher = KafkaPublisher(settings)
    await publisher.start()
    try:
        yield publisher
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWERS_WITHIN.total_seconds()):
                await publisher.stop()


async def load_products(settings: Settings, request: LoadRequest, observer: LoadObserver) -> LoadReport:
    """Write every product of the files, and delete what is gone if that was asked for.

    Raises `ConfigurationError` for files that cannot be read as products, before anything is written, and
    `TransientError` when the broker stays away: the same call goes on from there.
    """
    cluster = await reached(settings, [ProductChange.topic, CatalogueLoad.topic])
    changes = cluster.topics[ProductChange.topic]
    with state_of(request, settings.data_dir, log=f"{cluster.cluster} {changes.identity}") as kept:
        async with publishing(settings) as publisher:
            load = _CatalogueLoad(settings, request, observer, publisher=publisher, kept=kept)
            return await load.run(changes.partitions, changes.identity)


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
        self._saved_at = 0.0

    async def run(self, partitions: int, log: str) -> LoadReport:
        """Load the files from where they stand."""
        state = None if self._request.restart else self._kept.load()
        if state is not None and state.finished:
            state = None
        self._check_files()
        begun = await self._begun(state, log)
        if state is None:
            state = LoadState(load_id=begun.manifest.load_id, began_at=milliseconds(begun.began_at))
        else:
            self._observer.resumed(state)
        self._kept.save(state)
        report = LoadReport(self._request.source, state.load_id, begun.began_at)
        for number, name in enumerate(self._request.files):
            state = await self._load(name, number, state=state, report=report, partitions=partitions)
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
            self._kept.save(state.model_copy(update={"finished": True}))
        return report

    def _check_files(self) -> None:
        """Raise what is wrong with any file before the first is loaded; standard input is read once only."""
        for name in self._request.files:
            if name != STDIN:
                with surveyed(name, self._request.options) as survey:
                    survey.reading(self._request.options)

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
        self, name: str, number: int, *, state: LoadState, report: LoadReport, partitions: int
    ) -> LoadState:
        """Write the products of one file; `state` says what is acknowledged already."""
        with surveyed(name, self._request.options) as survey:
            kept = state.readings[number : number + 1]
            reading = kept[0] if kept else survey.reading(self._request.options)
            self._observer.surveyed(survey, reading)
            state = state.model_copy(update={"readings": (*state.readings[:number], reading)})
            before = report.tally.units

            def done(total: LoadTally) -> None:
                nonlocal state
                state = self._saved(state, before + total.units)

            make = self._maker(reading, begun=report.began_at, load_id=report.load_id, partitions=partitions)
            tally = LoadTally()
            units = batches(survey.rows, make, skip=state.done - before)
            await self._delivery.deliver(units, tally, done)
            report.tally.add(tally)
            report.damage = report.damage or survey.content.damage
        return self._saved(state, report.tally.units, now=True)

    def _saved(self, state: LoadState, units: int, *, now: bool = False) -> LoadState:
        """Keep what is acknowledged, once a second at most."""
        loop = asyncio.get_running_loop()
        state = state.model_copy(update={"done": max(units, state.done)})
        if now or loop.time() - self._saved_at >= SAVED_EVERY:
            self._saved_at = loop.time()
            self._kept.save(state)
        return state

    def _maker(
        self, reading: FieldMapping, *, begun: datetime, load_id: str, partitions: int
    ) -> Callable[[FileRow], Made]:
        """Return what makes a row's change; a row that cannot be loaded still says whose it is."""
        moment = _iso(begun)
        reader = ProductReader(reading, moment, self._request.texts)
        headers: Headers = ((LOAD_HEADER, load_id.encode()),)

        def make(row: FileRow) -> Made:
            product_id, value, faults = reader.read(row)
            if not product_id:
                return Made((), faults)
            self._ids.append(hash(product_id))
            if value is None:
                value = presence(product_id, moment)
                self._kept_as_they_are += 1
            key = product_id.encode()
            place = partition_of(key, partitions)
            return Made((Outgoing(ProductChange.topic, key, value, headers, place),), faults)

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
