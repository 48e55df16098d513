"""`headrace bench shards`: one shard without a bus, beside FAISS' flat scan of the same vectors."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
from rich.progress import Progress

from schemas.filters import Filter
from schemas.search_api import Mode
from services.lab.benchmarks.loading import quantile
from services.lab.benchmarks.search_material import IndexedProducts, Questions
from services.lab.benchmarks.search_peers import measure as measure_peers
from services.lab.benchmarks.shard_figures import filtered_rows, memory_rows
from services.lab.benchmarks.shard_writes import TEXTS, WORDS, attributes, described, drawn
from services.lab.benchmarks.vectors import alive, life, name_of, perturbed, records
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import GradedCatalogue
from services.shards.domain.manifest import RecoveryCriteria
from services.shards.files import Files
from services.shards.records import entry
from services.shards.searching import ViewQuery
from services.shards.settings import Settings
from services.shards.shard import Identity, Shard
from shared.arrays import Vectors
from shared.clock import SystemClock
from shared.encoder.loading import load_encoder
from shared.ports import Encoder
from shared.records import Record

SEED = 1
OVERWRITES, DELETES = 0.1, 0.05
BATCH = 500
"""Records at once, as the loop hands them over."""
CHECKPOINT_SECONDS = 30.0
SEARCHES = 300
K = 10
WRITES_A_SECOND = 500
WRITES_AT_ONCE = 50
WORDED_GOAL = 6000.0
"""Products with long descriptions, a CPU-second."""


@dataclass(frozen=True, slots=True)
class ShardWorkload:
    """What is written and asked; `vectors[row]` belongs to the records of `alive`."""

    log: list[Record]
    vectors: Vectors
    alive: dict[int, int]
    texts: list[str]
    queries: Vectors
    later: list[Record]
    """Overwrites that arrive while searches run."""
    attributes: list[Record]
    """The same products without words."""
    texts_log: list[Record]
    """Some products with long descriptions."""


@dataclass(frozen=True, slots=True)
class ApplyTiming:
    """What applying the log took, decoding included."""

    records: int
    seconds: float
    cpu: float
    decode: float


@dataclass(frozen=True, slots=True)
class TimedSearches:
    """Seconds of each search, and the products that each found."""

    seconds: list[float]
    answers: list[list[str]]

    def at(self, share: float) -> float:
        """Return a quantile in milliseconds."""
        return quantile(self.seconds, share) * 1000


def measure(catalogue: GradedCatalogue, count: int, *, progress: Progress) -> list[ReportRow]:
    """Return the rows of a shard of `count` products."""
    settings = Settings.load()
    faiss.omp_set_num_threads(1)
    sample = _sample(catalogue, count, load_encoder(settings.model), progress)
    flat, flat_rate = _flat(sample)
    with TemporaryDirectory(prefix="headrace-bench-") as directory:
        with _shard(Path(directory), settings, 1) as shard:
            _apply(shard, sample.log, progress)
            shard.checkpoint(SystemClock().now())
            while shard.merge():
                pass
            dense = asked(shard, sample, "dense")
            hybrid = asked(shard, sample, "hybrid")
            flat_times, truth = _exact(flat, sample)
            filtered = [*filtered_rows(lambda *how: _filtered(shard, sample, *how), dense.at(0.5))]
            memory = [*memory_rows(shard.view.parts)]
            under_writes = _under_writes(shard, sample)
            shard.checkpoint(SystemClock().now())
        began = time.monotonic()
        with _shard(Path(directory), settings, 2) as shard:
            asked(shard, sample, "dense", searches=1)
            reopened = time.monotonic() - began
    applied, worded = (_written(log, settings, progress) for log in (sample.attributes, sample.texts_log))
    recalled = recall(truth, dense.answers)
    origin = f"{len(catalogue.products[:count]):,} of {count:,} real, the rest perturbed copies"
    return [
        *rows(applied, worded, flat_rate, dense, hybrid, under_writes, flat_times),
        ReportRow("recall@10", recalled, note=f"against exact; vectors: {origin}"),
        *filtered,
        *memory,
        ReportRow("reopen", reopened, "s", 1.0, "with the first search; bound: the goal"),
        *_peers(sample, progress),
    ]


def rows(
    applied: ApplyTiming,
    worded: ApplyTiming,
    flat_rate: float,
    dense: TimedSearches,
    hybrid: TimedSearches,
    under_writes: TimedSearches,
    flat_times: TimedSearches,
) -> list[ReportRow]:
    """Return throughput and latency; FAISS' flat scan holds vectors only, no texts, attributes or disk."""
    cpu = f"decoding {applied.decode:.1f} of {applied.cpu:.1f} CPU-seconds; bound: FAISS flat, add alone"
    return [
        ReportRow("upserts", applied.records / applied.seconds, "1/s", flat_rate, cpu),
        ReportRow(
            "upserts per CPU-second",
            applied.records / applied.cpu,
            "1/s",
            note="vectors and attributes, no texts",
        ),
        ReportRow(
            f"upserts with {WORDS} words",
            worded.records / worded.cpu,
            "1/CPU-s",
            WORDED_GOAL,
            f"{worded.records / worded.seconds:,.0f} a second; bound: the goal",
        ),
        ReportRow("search p50", dense.at(0.5), "ms", flat_times.at(0.5), "by vector; bound: FAISS flat"),
        ReportRow("search p99", dense.at(0.99), "ms", flat_times.at(0.99), "by vector; bound: FAISS flat"),
        ReportRow("hybrid search p50", hybrid.at(0.5), "ms", note="by vector and by words"),
        ReportRow("hybrid search p99", hybrid.at(0.99), "ms", note="by vector and by words"),
        ReportRow(
            "search p50 under writes",
            under_writes.at(0.5),
            "ms",
            note=f"while {WRITES_A_SECOND} upserts/s arrive",
        ),
        ReportRow(
            "search p99 under writes",
            under_writes.at(0.99),
            "ms",
            note=f"while {WRITES_A_SECOND} upserts/s arrive",
        ),
    ]


def recall(truth: Sequence[Sequence[str]], answers: Sequence[Sequence[str]]) -> float:
    """Return which share of the true answers was found, over all searches."""
    hits = sum(len(set(expected) & set(answer)) for expected, answer in zip(truth, answers, strict=True))
    return hits / sum(len(expected) for expected in truth)


def _sample(catalogue: GradedCatalogue, count: int, model: Encoder, progress: Progress) -> ShardWorkload:
    rng = np.random.default_rng(SEED)
    products = catalogue.products[:count]
    bar = progress.add_task("embedding", total=len(products))
    originals = model.encode_documents([product.title for product in products])
    progress.update(bar, completed=len(products))
    history = life(count, overwrites=OVERWRITES, deletes=DELETES, rng=rng)
    living = alive(history)
    later = [written for written in history[: count // 2] if written.product in living]
    later = [written for written in later if written.row == living[written.product]]
    vectors = perturbed(originals, count + int(count * OVERWRITES), rng)
    now = SystemClock().now()
    log = list(records(history + later, vectors, products, model, now, fields_of=drawn))
    plain = list(records(history, vectors, products, model, now, fields_of=attributes))
    first = history[: min(count, TEXTS)]
    worded = list(records(first, vectors, products, model, now, fields_of=described(products)))
    texts = [query.text for query in catalogue.queries]
    asked_for = model.encode_queries(texts)
    return ShardWorkload(
        log[: len(history)], vectors, living, texts, asked_for, log[len(history) :], plain, worded
    )


@contextmanager
def _shard(root: Path, settings: Settings, epoch: int) -> Iterator[Shard]:
    recovery = RecoveryCriteria(now=SystemClock().now(), oldest=settings.shards.oldest_snapshot)
    identity = Identity(generation="bench", partition=0, epoch=epoch)
    shard = Shard.open(root, identity, settings=settings.shards, recovery=recovery, files=Files())
    try:
        yield shard
    finally:
        shard.close()


def _apply(shard: Shard, log: Sequence[Record], progress: Progress) -> ApplyTiming:
    """Decode and apply as the worker does, with its checkpoints."""
    bar = progress.add_task("upserts", total=len(log))
    began, cpu_before, decode, saved_at = time.monotonic(), time.process_time(), 0.0, time.monotonic()
    for start in range(0, len(log), BATCH):
        batch = log[start : start + BATCH]
        before = time.process_time()
        entries = [entry(record) for record in batch]
        decode += time.process_time() - before
        shard.apply(entries, batch[-1].offset + 1)
        if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
            shard.checkpoint(SystemClock().now())
            saved_at = time.monotonic()
        progress.update(bar, completed=start + len(batch))
    return ApplyTiming(len(log), time.monotonic() - began, time.process_time() - cpu_before, decode)


def _written(log: Sequence[Record], settings: Settings, progress: Progress) -> ApplyTiming:
    """Put a log into a shard of its own."""
    with (
        TemporaryDirectory(prefix="headrace-bench-") as directory,
        _shard(Path(directory), settings, 1) as shard,
    ):
        return _apply(shard, log, progress)


def _filtered(
    shard: Shard, sample: ShardWorkload, filters: Sequence[Filter], exact: bool
) -> tuple[float, list[list[str]]]:
    """Return p50 in milliseconds, and what was found, under filters."""

    def ask(number: int) -> list[str]:
        vector = sample.queries[number]
        query = ViewQuery(vector=vector, k=K, mode="dense", filters=filters, exact=exact)
        return [hit.product_id for hit in shard.view.search(query)]

    searches = _timed(ask, len(sample.texts), len(sample.texts))
    return searches.at(0.5), searches.answers


def _peers(sample: ShardWorkload, progress: Progress) -> list[ReportRow]:
    """Return the rows of libraries, of the same vectors and queries; what is not installed is told."""
    living = np.ascontiguousarray(sample.vectors[list(sample.alive.values())])
    products = IndexedProducts([name_of(product) for product in sample.alive], [], living)
    asked_for = Questions(sample.texts, sample.queries, [], {})
    return measure_peers(products, asked_for, say=progress.console.print)[0]


def asked(shard: Shard, sample: ShardWorkload, mode: Mode, *, searches: int = SEARCHES) -> TimedSearches:
    """Ask the catalogue's queries in turn, one at a time, of what is there at that moment."""

    def ask(number: int) -> list[str]:
        query = ViewQuery(vector=sample.queries[number], text=sample.texts[number], k=K, mode=mode)
        return [hit.product_id for hit in shard.view.search(query)]

    return _timed(ask, len(sample.texts), searches)


def _timed(ask: Callable[[int], list[str]], queries: int, searches: int) -> TimedSearches:
    seconds, answers = [], []
    for number in range(searches):
        began = time.perf_counter()
        answers.append(ask(number % queries))
        seconds.append(time.perf_counter() - began)
    return TimedSearches(seconds, answers)


def _flat(sample: ShardWorkload) -> tuple["faiss.IndexFlatIP", float]:
    """Return FAISS' flat index of what lives, and how many vectors a second it takes."""
    index = faiss.IndexFlatIP(sample.vectors.shape[1])
    vectors = np.ascontiguousarray(sample.vectors[list(sample.alive.values())])
    began = time.monotonic()
    for start in range(0, len(vectors), BATCH):
        index.add(vectors[start : start + BATCH])
    return index, len(vectors) / (time.monotonic() - began)


def _exact(index: "faiss.IndexFlatIP", sample: ShardWorkload) -> tuple[TimedSearches, list[list[str]]]:
    """Return FAISS' times, and its answers, which are exact."""
    names = [name_of(product) for product in sample.alive]

    def ask(number: int) -> list[str]:
        _, nearest = index.search(sample.queries[number][None, :], K)
        return [names[row] for row in nearest[0]]

    times = _timed(ask, len(sample.texts), SEARCHES)
    return times, times.answers


def _under_writes(shard: Shard, sample: ShardWorkload) -> TimedSearches:
    """Search while overwrites arrive from another thread, as the worker's loop hands them over."""
    end = threading.Event()

    def write() -> None:
        for start in range(0, len(sample.later), WRITES_AT_ONCE):
            began = time.monotonic()
            batch = sample.later[start : start + WRITES_AT_ONCE]
            shard.apply([entry(record) for record in batch], batch[-1].offset + 1)
            if end.wait(max(0.0, began + WRITES_AT_ONCE / WRITES_A_SECOND - time.monotonic())):
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return asked(shard, sample, "dense")
    finally:
        end.set()
        writer.join()
