"""Builds data sets from the topics, and builds them again."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import orjson
from pydantic import ValidationError

from schemas.control import OffsetRange
from schemas.judgements import Judgement
from services.trainer.dataset_settings import DatasetSettings
from services.trainer.domain.assembly import Assembled, Sources, assemble
from services.trainer.domain.certificate import broken
from services.trainer.domain.dataset import SPLITS, Dataset, Manifest
from services.trainer.domain.selection import Selection
from services.trainer.sources import Progress, Reading, everything
from shared.errors import FatalError, PoisonError
from shared.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a data set is a function of; the code version is only written down."""

    ranges: tuple[OffsetRange, ...]
    selection: Selection
    generation: str
    seed: int = 0
    code_version: str = ""

    @classmethod
    def of(cls, manifest: Manifest, *, code_version: str) -> "Origin":
        """Return the origin of the same data set again; raises `PoisonError` for unknown settings."""
        try:
            selection = Selection.model_validate(dict(manifest.filters))
        except ValidationError as error:
            raise PoisonError("dataset.invalid", f"{manifest.name}: {error.errors()[0]['msg']}") from error
        return cls(
            ranges=manifest.ranges,
            selection=selection,
            generation=manifest.generation,
            seed=manifest.seed,
            code_version=code_version,
        )

    @property
    def name(self) -> str:
        """Return a name that another origin does not have."""
        told = [
            [it.model_dump() for it in self.ranges],
            self.selection.named(),
            self.generation,
            self.seed,
        ]
        return f"d-{sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]}"


async def present(
    settings: DatasetSettings,
    *,
    judgements: Sequence[OffsetRange] = (),
    seed: int = 0,
    code_version: str = "",
) -> Origin:
    """Return the origin of what the topics hold now, or for these ranges of judgements."""
    ranges = await everything(settings)
    if judgements:
        ranges = (*judgements, *(it for it in ranges if it.topic != Judgement.topic))
    return Origin(
        ranges=ranges,
        selection=settings.selection,
        generation=settings.generation,
        seed=seed,
        code_version=code_version,
    )


async def build(
    settings: Settings, origin: Origin, *, name: str = "", progress: Progress | None = None
) -> Dataset:
    """Read the topics and return the data set, not yet written; raises like `made` and `Reading.read`."""
    reading = Reading(settings, origin.ranges, progress=progress)
    sources = await reading.read(origin.selection, seed=origin.seed)
    return await asyncio.to_thread(made, sources, origin, name=name)


def made(sources: Sources, origin: Origin, *, name: str = "") -> Dataset:
    """Return the data set of these sources; raises `FatalError` when something leaks."""
    it = assemble(sources, origin.selection, generation=origin.generation)
    if leaks := broken(it.certificate):
        raise FatalError("the data set is not clean, which is a mistake in Headrace: " + "; ".join(leaks))
    manifest = _manifest(it, sources, origin, name=name or origin.name)
    return Dataset(manifest, it.pairs, it.negatives, it.products)


def directory_of(settings: Settings, name: str) -> Path:
    """Return where the data set of that name is, or would be."""
    return settings.data_dir / "datasets" / name


def differences(before: Manifest, now: Manifest) -> list[str]:
    """Return, in words, which files differ and why; empty: it was built again bit for bit."""
    files = [name for name, digest in before.files.items() if now.files.get(name) != digest]
    gone = {
        topic: number - now.records.get(topic, 0)
        for topic, number in before.records.items()
        if number > now.records.get(topic, 0)
    }
    why = "; ".join(f"{number} messages of {topic} are compacted away" for topic, number in gone.items())
    if not why:
        why = f"the code is another ({before.code_version or '?'} then, {now.code_version or '?'} now)"
    return [f"{name} differs: {why}" for name in files]


def _manifest(it: Assembled, sources: Sources, origin: Origin, *, name: str) -> Manifest:
    counts = Counter(pair.split for pair in it.pairs)
    return Manifest(
        name=name,
        ranges=origin.ranges,
        generation=origin.generation,
        filters=origin.selection.named(),
        seed=origin.seed,
        code_version=origin.code_version,
        records=sources.records,
        late_after=it.late_after,
        counts={split: counts[split] for split in SPLITS},
        removed=it.removed,
        certificate=it.certificate,
    )
