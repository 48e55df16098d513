"""`headrace bench kinds`: ways to find vectors in one part of a shard, recall against latency."""

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from rich.progress import Progress

from services.lab.benchmarks.loading import quantile
from services.lab.benchmarks.vectors import perturbed_halves
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import GradedCatalogue
from services.shards.admission import Kind, RecallReport, admit
from services.shards.codes import Codes, lists_for, make_codes
from services.shards.dense import DensePart, Mask, nearest
from services.shards.rows import Floats, Halves, Integers
from services.shards.vector_kernels import best_rows, score_rows
from shared.encoder.loading import load_encoder
from shared.settings import ModelSettings

K = 10
SEED = 1
ROUNDS = 3
WARM = 20
DEPTHS = (25, 50, 100, 200, 400, 800, 1600)
PROBES = (4, 8, 16, 32, 64, 128)
LIST_DEPTH = 200
BREADTHS = (16, 32, 64, 128, 256)
"""usearch's `expansion_search`."""
SHARES = (0.001, 0.01, 0.05, 0.2, 0.5)
GRAPH_ROWS = 100_000
"""A graph takes some thousand rows a second: of more rows none is built."""

Find = Callable[[Floats, int], Integers]
"""From a query, and its number, to the rows nearest to it."""


class KindPoint(NamedTuple):
    """One setting of one kind at one size; `milliseconds` are p50 and p99 of a search, of CPU."""

    rows: int
    kind: str
    setting: int
    recall: float
    milliseconds: tuple[float, float]


@dataclass(frozen=True, slots=True)
class KindMaterial:
    """Vectors, queries and their exact answers."""

    vectors: Halves
    queries: Floats
    scores: list[Floats]
    """Of each query those of all rows."""

    def truth(self, number: int, mask: Mask | None = None) -> float:
        """Return the score of the last true answer to a query; -inf when fewer than ten may be answers."""
        scores = self.scores[number] if mask is None else self.scores[number][mask]
        return float(np.partition(scores, scores.size - K)[scores.size - K]) if scores.size >= K else -np.inf


def measure(
    catalogue: GradedCatalogue, model: ModelSettings, sizes: Sequence[int], *, progress: Progress
) -> tuple[list[ReportRow], list[KindPoint]]:
    """Return the rows of all sizes, and the points to draw."""
    faiss.omp_set_num_threads(1)
    encoder = load_encoder(model)
    originals = encoder.encode_documents([product.title for product in catalogue.products])
    queries = encoder.encode_queries([query.text for query in catalogue.queries])
    bar = progress.add_task("kinds", total=len(sizes))
    rows, points = list[ReportRow](), list[KindPoint]()
    for size in sizes:
        vectors = perturbed_halves(originals, size, np.random.default_rng(SEED))
        more_rows, more_points = _measure_size(vectors, queries, say=progress.console.print)
        rows, points = rows + more_rows, points + more_points
        progress.advance(bar)
    return rows, points


def _measure_size(
    vectors: Halves, queries: Floats, *, say: Callable[[str], None]
) -> tuple[list[ReportRow], list[KindPoint]]:
    half = len(queries) // 2
    everything = np.arange(len(vectors))
    asked = queries[half:]
    material = KindMaterial(vectors, asked, [score_rows(vectors, everything, query) for query in asked])
    began = time.process_time()
    codes, report = admit(vectors, queries[:half])
    cpu = time.process_time() - began
    flat = _flat(material)
    points = [flat, *_ours(material, report.depth), *_peers(material, say)]
    part = DensePart(vectors, codes, report)
    admitted = _timed(
        material, f"admitted: {report.kind}", report.depth, lambda q, _: nearest(part, q, K).rows
    )
    rows = [
        ReportRow(
            _named(f"{point.kind} {point.setting}".removesuffix(" 0"), len(vectors)),
            point.milliseconds[0],
            "ms",
            flat.milliseconds[0],
            f"p50; recall@10 {point.recall:.4f}, p99 {point.milliseconds[1]:.2f} ms; bound: FAISS flat",
        )
        for point in (*points, admitted)
    ]
    rows += _filtered_rows(material, part, admitted)
    note = f"{report.reason}; {len(vectors) / cpu:,.0f} rows a CPU-second with the test"
    size = (vectors.nbytes + part.bytes) / len(vectors)
    rows.append(ReportRow(_named("memory", len(vectors)), size, "B/row", vectors.nbytes / len(vectors), note))
    return rows, points


def _named(name: str, rows: int) -> str:
    return f"{rows:,}: {name}"


def _timed(
    material: KindMaterial, kind: str, setting: int, find: Find, *, masks: Sequence[Mask] | None = None
) -> KindPoint:
    """Ask every query some times, one after the other, and compare with the exact answers, by score.

    Times are of the thread's CPU: every kind searches in one, and what else the machine does is not in them.
    """
    for number, query in enumerate(material.queries[:WARM]):
        find(query, number)
    seconds, hits, wanted = list[float](), 0, 0
    for turn in range(ROUNDS):
        for number, query in enumerate(material.queries):
            began = time.thread_time()
            rows = find(query, number)
            seconds.append(time.thread_time() - began)
            if turn:
                continue
            mask = masks[number] if masks else None
            there = len(material.vectors) if mask is None else int(mask.sum())
            least = material.truth(number, mask)
            hits += int((material.scores[number][rows[:K]] >= least).sum())
            wanted += min(K, there)
    times = (quantile(seconds, 0.5) * 1000, quantile(seconds, 0.99) * 1000)
    return KindPoint(len(material.vectors), kind, setting, hits / max(1, wanted), times)


def _flat(material: KindMaterial) -> KindPoint:
    """FAISS' exhaustive scan of float32 rows."""
    index = faiss.IndexFlatIP(material.vectors.shape[1])
    index.add(material.vectors.astype(np.float32))
    return _timed(material, "FAISS flat", 0, lambda query, _: index.search(query[None, :], K)[1][0])


def _ours(material: KindMaterial, depth_of_lists: int) -> Iterator[KindPoint]:
    """Yield the scan, codes at growing depths, and lists at growing probes."""
    vectors = material.vectors
    everything = np.arange(len(vectors))

    def scan(query: Floats, _: int) -> Integers:
        return best_rows(everything, score_rows(vectors, everything, query), K, ties=0)[0]

    yield _timed(material, "scan", 0, scan)
    codes = make_codes(vectors)
    for depth in DEPTHS:
        yield _timed(material, "codes", depth, _found_by(_part(vectors, codes, "codes", depth)))
    codes = make_codes(vectors, lists_for(len(vectors)))
    for probes in PROBES:
        if probes < codes.lists:
            part = _part(vectors, codes, "lists", max(LIST_DEPTH, depth_of_lists), probes)
            yield _timed(material, "lists", probes, _found_by(part))


def _part(vectors: Halves, codes: Codes, kind: Kind, depth: int, probes: int = 1) -> DensePart:
    report = RecallReport(
        kind=kind, rows=len(vectors), goal=0, reason="asked for", depth=depth, probes=probes
    )
    return DensePart(vectors, codes, report)


def _found_by(part: DensePart) -> Find:
    return lambda query, _: nearest(part, query, K).rows


def _filtered_rows(material: KindMaterial, part: DensePart, admitted: KindPoint) -> Iterator[ReportRow]:
    """Yield searches under masks: of any rows, and of whole neighbourhoods, the furthest from the query."""
    rows = len(material.vectors)
    rng = np.random.default_rng(SEED)
    centres = material.vectors[rng.choice(rows, 200, replace=False)].astype(np.float32)
    pieces = (material.vectors[start : start + 20_000] for start in range(0, rows, 20_000))
    near = np.concatenate([(piece.astype(np.float32) @ centres.T).argmax(axis=1) for piece in pieces])
    for share in SHARES:
        mask = rng.random(rows) < share
        far = [_far(query, centres, near, share) for query in material.queries]
        for name, masks in (("any", [mask] * len(far)), ("unlike the query", far)):
            point = _timed(material, "", 0, _masked(part, masks), masks=masks)
            yield ReportRow(
                _named(f"filter {share:.1%}, {name}", rows),
                point.milliseconds[0],
                "ms",
                admitted.milliseconds[0],
                f"p50; recall@10 {point.recall:.4f}, p99 {point.milliseconds[1]:.2f} ms; bound: without",
            )


def _masked(part: DensePart, masks: Sequence[Mask]) -> Find:
    return lambda query, number: nearest(part, query, K, mask=masks[number]).rows


def _far(query: Floats, centres: Floats, near: Integers, share: float) -> Mask:
    """Return the rows of the neighbourhoods that are furthest from a query, about a share of all."""
    order = np.argsort(centres @ query)
    reached = np.cumsum(np.bincount(near, minlength=len(centres))[order])
    mask: Mask = np.isin(near, order[: int(np.searchsorted(reached, share * len(near))) + 1])
    return mask


def _peers(material: KindMaterial, say: Callable[[str], None]) -> Iterator[KindPoint]:
    """Usearch's graph, where it is installed and can be built in minutes."""
    if importlib.util.find_spec("usearch") is None:
        say("usearch is not installed and not measured: pip install usearch")
        return
    rows = len(material.vectors)
    if rows > GRAPH_ROWS:
        say(f"no graph of {rows:,} rows is built: it would take minutes")
        return
    module: Any = importlib.import_module("usearch.index")  # Any: an optional package, without types
    index = module.Index(ndim=material.vectors.shape[1], metric="ip", dtype="f16")
    index.add(np.arange(rows), material.vectors.astype(np.float32), threads=1)
    for breadth in BREADTHS:
        index.expansion_search = breadth
        yield _timed(
            material,
            "usearch HNSW",
            breadth,
            lambda query, _: index.search(query, K, threads=1).keys.astype(np.int64),
        )


def plot(points: Sequence[KindPoint], file: Path) -> None:
    """Draw recall beside milliseconds, a panel a size and a line a kind."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy, and for plots only

    sizes = sorted({point.rows for point in points})
    figure = Figure(figsize=(3.6 * len(sizes) + 1, 4.2), layout="constrained")
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    kinds = list(dict.fromkeys(point.kind for point in points))
    for axes, size in zip(panels, sizes, strict=True):
        for number, kind in enumerate(kinds):
            line = [point for point in points if (point.rows, point.kind) == (size, kind)]
            if line:
                times, recalls = [point.milliseconds[0] for point in line], [point.recall for point in line]
                axes.plot(times, recalls, marker="o", markersize=4, color=f"C{number}", label=kind)
        axes.axhline(0.98, color="0.6", linewidth=0.8, linestyle="--")
        axes.set(
            xscale="log", xlabel="CPU-milliseconds a search, p50", title=f"{size:,} rows", ylim=(0.8, 1.005)
        )
        axes.grid(visible=True, alpha=0.3)
    panels[0].set_ylabel("recall@10")
    handles = {line.get_label(): line for axes in panels for line in axes.get_lines()}
    figure.legend(
        [handles[kind] for kind in kinds],
        kinds,
        loc="outside lower center",
        ncols=len(kinds),
        fontsize="small",
    )
    figure.savefig(file, dpi=100)
