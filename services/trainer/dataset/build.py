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
from services.trainer.dataset.domain.assembly import Assembled, DatasetSources, assemble
from services.trainer.dataset.domain.dataset import SPLITS, Dataset, DatasetManifest
from services.trainer.dataset.domain.leakage import leaks
from services.trainer.dataset.domain.selection import DatasetSelection
from services.trainer.dataset.settings import DatasetSettings
from services.trainer.dataset.sources import ReadProgress, TopicSnapshot, present_ranges
from shared.errors import FatalError, PoisonError
from shared.settings import Settings

OF_BEFORE = {"random_negatives": 0, "novel_queries": 0}
"""What the filters of a data set meant that was built before there were these settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInputs:
    """What a data set is a function of; the code version is only written down."""

    ranges: tuple[OffsetRange, ...]
    selection: DatasetSelection
    generation: str
    seed: int = 0
    code_version: str = ""

    @classmethod
    def of(cls, manifest: DatasetManifest, *, code_version: str) -> "DatasetInputs":
        """Return the inputs of the same data set again; raises `PoisonError` for unknown settings."""
        try:
            selection = DatasetSelection.model_validate({**OF_BEFORE, **manifest.filters})
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
        """Return a name that other inputs do not have."""
        values = [
            [offsets.model_dump() for offsets in self.ranges],
            self.selection.named(),
            self.generation,
            self.seed,
        ]
        return f"d-{sha256(orjson.dumps(values, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]}"


async def present_inputs(
    settings: DatasetSettings,
    *,
    judgements: Sequence[OffsetRange] = (),
    seed: int = 0,
    code_version: str = "",
) -> DatasetInputs:
    """Return the inputs as the topics are now, or with these ranges of judgements."""
    ranges = await present_ranges(settings)
    if judgements:
        ranges = (*judgements, *(offsets for offsets in ranges if offsets.topic != Judgement.topic))
    return DatasetInputs(
        ranges=ranges,
        selection=settings.selection,
        generation=settings.generation,
        seed=seed,
        code_version=code_version,
    )


async def build(
    settings: Settings, inputs: DatasetInputs, *, name: str = "", progress: ReadProgress | None = None
) -> Dataset:
    """Read the topics; return the data set, not yet written.

    Raises like `dataset_of` and `TopicSnapshot.read`.
    """
    snapshot = TopicSnapshot(settings, inputs.ranges, progress=progress)
    sources = await snapshot.read(inputs.selection, seed=inputs.seed)
    return await asyncio.to_thread(dataset_of, sources, inputs, name=name)


def dataset_of(sources: DatasetSources, inputs: DatasetInputs, *, name: str = "") -> Dataset:
    """Return the data set of these sources; raises `FatalError` when something leaks."""
    contents = assemble(sources, inputs.selection, generation=inputs.generation, seed=inputs.seed)
    if leaking := leaks(contents.leakage):
        raise FatalError("the data set is not clean, which is a mistake in Headrace: " + "; ".join(leaking))
    manifest = _manifest(contents, sources, inputs, name=name or inputs.name)
    return Dataset(manifest, contents.pairs, contents.negatives, contents.products, contents.shown)


def directory_of(settings: Settings, name: str) -> Path:
    """Return where the data set of that name is, or would be."""
    return settings.data_dir / "datasets" / name


def differences(before: DatasetManifest, now: DatasetManifest) -> list[str]:
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


def _manifest(
    contents: Assembled, sources: DatasetSources, inputs: DatasetInputs, *, name: str
) -> DatasetManifest:
    counts = Counter(pair.split for pair in contents.pairs)
    return DatasetManifest(
        name=name,
        ranges=inputs.ranges,
        generation=inputs.generation,
        filters=inputs.selection.named(),
        seed=inputs.seed,
        code_version=inputs.code_version,
        records=sources.records,
        late_after=contents.late_after,
        counts={split: counts[split] for split in SPLITS},
        removed=contents.removed,
        certificate=contents.leakage,
    )
