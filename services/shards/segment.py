"""Segments: parts on disk that never change but for what the shard's manifest and patches say of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.shards.admission import RecallReport, admit
from services.shards.archive import Archive, Blobs, joined, mapped, packed
from services.shards.codes import read_codes, write_codes
from services.shards.columns import Column, remapped
from services.shards.dense import DensePart
from services.shards.domain.bitmap import Mask
from services.shards.files import Files
from services.shards.head import statistics_of, weighted
from services.shards.part import PartView
from services.shards.rows import Floats, Halves, Integers, Rows, stacked
from shared.retrieval.postings import Postings, merged

CONTENT, CODES, REPORT = "content.arrays", "codes.faiss", "recall.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentContent:
    """The living products of some parts, in the order of their parts, as a segment has them."""

    parts: Sequence[PartView]
    places: Sequence[Integers]
    """Of each part, each place's new one; -1: it does not live."""
    size: int

    @classmethod
    def of(cls, parts: Sequence[PartView]) -> "SegmentContent":
        """Return the living products of these parts, numbered."""
        places, size = [], 0
        for part in parts:
            numbers = np.where(part.live, np.cumsum(part.live, dtype=np.int64) - 1 + size, -1)
            places.append(numbers)
            size += int(part.live.sum())
        return cls(parts=parts, places=places, size=size)

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes of the file."""
        parts = self.parts
        postings = merged(
            [block for part in parts for block in part.blocks],
            [places for part, places in zip(parts, self.places, strict=True) for _ in part.blocks],
        )
        columns = remapped([part.columns for part in parts], self.places)
        texts, states = (joined(list(blobs)) for blobs in (self._texts(), self._states()))
        arrays = {
            "ids": _narrow(self._concatenated([part.ids for part in parts])),
            "lengths": np.concatenate([part.lengths[:, part.live] for part in parts], axis=1),
            "offsets": self._concatenated([part.offsets for part in parts]),
            "epochs": self._concatenated([part.epochs for part in parts]),
            "rows.counts": self._concatenated([part.rows.counts() for part in parts]),
            "rows.vectors": np.concatenate([part.rows.taken(part.live).vectors for part in parts]),
            **{f"postings.{name}": array for name, array in postings._asdict().items()},
            "texts": texts[0],
            "texts.ends": texts[1],
            "states": states[0],
            "states.ends": states[1],
        }
        for number, column in enumerate(columns.values()):
            arrays |= {f"column{number}.places": column.places, f"column{number}.values": column.values}
        notes = {"columns": [[*name, column.whole] for name, column in columns.items()]}
        yield from packed(arrays, notes)

    def _concatenated(self, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:  # Any: of any kind
        return np.concatenate([array[part.live] for array, part in zip(arrays, self.parts, strict=True)])

    def _texts(self) -> Iterator[bytes]:
        for part in self.parts:
            yield from map(part.texts.__getitem__, np.flatnonzero(part.live).tolist())

    def _states(self) -> Iterator[bytes]:
        for part in self.parts:
            for place in np.flatnonzero(part.live).tolist():
                yield part.state(place).packed


def write_segment(
    directory: Path,
    content: SegmentContent,
    files: Files,
    *,
    title_weight: float,
    queries: Floats | None = None,
) -> PartView:
    """Write everything into a new directory, synced, and open it.

    `queries` (float32 rows) are recent ones: by them it is measured how deep codes must look.
    """
    files.directory(directory)
    files.write_pieces(directory / CONTENT, content.pieces())
    vectors = mapped(directory / CONTENT).arrays["rows.vectors"]
    codes, report = admit(vectors, queries)
    files.write(directory / REPORT, report.json())
    if codes is not None:
        files.write(directory / CODES, write_codes(codes))
    files.sync(directory)
    files.sync(directory.parent)
    return open_segment(directory, title_weight=title_weight)


def open_segment(directory: Path, *, title_weight: float) -> PartView:
    """Open a segment whose checksum was verified, all of it living; raises ValueError when it is none."""
    archive = mapped(directory / CONTENT)
    try:
        funnel = _funnel(directory, archive.arrays["rows.vectors"])
        view = _view(directory.name, archive, title_weight=title_weight, funnel=funnel)
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"segment {directory.name} lacks {error}") from error
    sizes = {len(view.ids), view.lengths.shape[1], len(view.offsets), len(view.epochs), len(view.texts)}
    if sizes != {len(view.states)} or view.rows.starts[-1] != len(view.rows.vectors):
        raise ValueError(f"segment {directory.name}: its arrays describe different products")
    return view


def of_living(view: PartView, live: Mask) -> PartView:
    """Return the part with the products that live, of those that it has."""
    return view if live.all() else replace(view, live=live, statistics=statistics_of(view.lengths[:, live]))


def _view(name: str, archive: Archive, *, title_weight: float, funnel: DensePart | None) -> PartView:
    arrays, notes = archive
    size = len(arrays["ids"])
    columns = {
        (attribute, letter): Column(
            arrays[f"column{number}.places"], arrays[f"column{number}.values"], whole=whole
        )
        for number, (attribute, letter, whole) in enumerate(notes["columns"])
    }
    rows: Rows = stacked(arrays["rows.vectors"], arrays["rows.counts"])
    return PartView(
        name=name,
        rows=rows,
        blocks=(Postings(*(arrays[f"postings.{field}"] for field in Postings._fields)),),
        weighted_lengths=weighted(arrays["lengths"], title_weight),
        texts=Blobs(arrays["texts"], arrays["texts.ends"]),
        states=Blobs(arrays["states"], arrays["states.ends"]),
        newer_at=np.full(size, -1, np.int32),
        newer=(),
        live=np.ones(size, np.bool_),
        columns=columns,
        statistics=statistics_of(arrays["lengths"]),
        funnel=funnel,
        ids=arrays["ids"],
        lengths=arrays["lengths"],
        offsets=arrays["offsets"],
        epochs=arrays["epochs"],
    )


def _funnel(directory: Path, vectors: Halves) -> DensePart | None:
    """Return how nearest rows are found, of a segment that was written with codes or without."""
    report = RecallReport.parse((directory / REPORT).read_bytes())
    if report.kind == "scan":
        return None
    return DensePart(vectors, read_codes((directory / CODES).read_bytes(), vectors), report)


def _narrow(ids: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    longest = max((len(product_id) for product_id in ids.tolist()), default=1)
    return ids.astype(f"S{max(longest, 1)}")
