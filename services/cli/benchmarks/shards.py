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

from services.cli.benchmarks.vectors import alive, life, name_of, perturbed, records
from services.cli.loading import quantile
from services.cli.report import Row
from services.cli.simulation.catalogue import Catalogue
from services.shards.domain.manifest import Recovery
from services.shards.files import Files
from services.shards.records import entry
from services.shards.settings import Settings
from services.shards.shard import Identity, Shard
from services.shards.view import Mode, Query
from shared import encoder
from shared.clock import SystemClock
from shared.ports import Encoder, Vectors
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


@dataclass(frozen=True, slots=True)
class Sample:
    """What is written and asked; `vectors[row]` belongs to the records of `alive`."""

    log: list[Record]
    vectors: Vectors
    alive: dict[int, int]
    texts: list[str]
    queries: Vectors
    later: list[Record]
    """Overwrites that arrive while searches run."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying the log took, decoding included."""

    records: int
    seconds: float
    cpu: float
    decode: float


@dataclass(frozen=True, slots=True)
class Asked:
    """Seconds of each search, and the products that each found."""

    seconds: list[float]
    found: list[list[str]]

    def at(self, share: float) -> float:
        """Return a quantile in milliseconds."""
        return quantile(self.seconds, share) * 1000


def measure(catalogue: Catalogue, count: int, *, progress: Progress) -> list[Row]:
    """Return the rows of a shard of `count` products."""
    settings = Settings.load()
    faiss.omp_set_num_threads(1)
    sample = _sample(catalogue, count, encoder.load(settings.model), progress)
    flat, flat_added = _flat(sample)
    with TemporaryDirectory(prefix="headrace-bench-") as directory:
        with _shard(Path(directory), settings, 1) as shard:
            applied = _apply(shard, sample.log, progress)
            shard.checkpoint(SystemClock().now())
            while shard.merge():
                pass
            dense = asked(shard, sample, "dense")
            hybrid = asked(shard, sample, "hybrid")
            peer, truth = _exact(flat, sample)
            busy = _under_writes(shard, sample)
            shard.checkpoint(SystemClock().now())
        began = time.monotonic()
        with _shard(Path(directory), settings, 2) as shard:
            asked(shard, sample, "dense", searches=1)
            reopened = time.monotonic() - began
    recalled = recall(truth, dense.found)
    made = f"{len(catalogue.products[:count]):,} of {count:,} real, the rest perturbed copies"
    return [
        *rows(applied, flat_added, dense, hybrid, busy, peer),
        Row("recall@10", recalled, note=f"against exact; vectors: {made}"),
        Row("reopen", reopened, "s", 1.0, "with the first search; bound: the goal"),
    ]


def rows(
    applied: Applied, flat_added: float, dense: Asked, hybrid: Asked, busy: Asked, peer: Asked
) -> list[Row]:
    """Return throughput and latency; FAISS' flat scan holds vectors only, no texts, attributes or disk."""
    used = f"decoding {applied.decode:.1f} of {applied.cpu:.1f} CPU-seconds; bound: FAISS flat, add alone"
    return [
        Row("upserts", applied.records / applied.seconds, "1/s", flat_added, used),
        Row("upserts per CPU-second", applied.records / applied.cpu, "1/s", note="decoded, indexed, visible"),
        Row("search p50", dense.at(0.5), "ms", peer.at(0.5), "by vector; bound: FAISS flat"),
        Row("search p99", dense.at(0.99), "ms", peer.at(0.99), "by vector; bound: FAISS flat"),
        Row("hybrid search p50", hybrid.at(0.5), "ms", note="by vector and by words"),
        Row("hybrid search p99", hybrid.at(0.99), "ms", note="by vector and by words"),
        Row("search p50 under writes", busy.at(0.5), "ms", note=f"while {WRITES_A_SECOND} upserts/s arrive"),
        Row("search p99 under writes", busy.at(0.99), "ms", note=f"while {WRITES_A_SECOND} upserts/s arrive"),
    ]


def recall(truth: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> float:
    """Return which share of the true answers was found, over all searches."""
    right = sum(len(set(one) & set(other)) for one, other in zip(truth, found, strict=True))
    return right / sum(len(one) for one in truth)


def _sample(catalogue: Catalogue, count: int, model: Encoder, progress: Progress) -> Sample:
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
    log = list(records(history + later, vectors, products, model, now))
    texts = [query.text for query in catalogue.queries]
    asked_for = model.encode_queries(texts)
    return Sample(log[: len(history)], vectors, living, texts, asked_for, log[len(history) :])


@contextmanager
def _shard(root: Path, settings: Settings, epoch: int) -> Iterator[Shard]:
    recovery = Recovery(now=SystemClock().now(), oldest=settings.shards.oldest_snapshot)
    identity = Identity(generation="bench", partition=0, epoch=epoch)
    shard = Shard.open(root, identity, settings=settings.shards, recovery=recovery, files=Files())
    try:
        yield shard
    finally:
        shard.close()


def _apply(shard: Shard, log: Sequence[Record], progress: Progress) -> Applied:
    """Decode and apply as the worker does, with its checkpoints."""
    bar = progress.add_task("upserts", total=len(log))
    began, used, decode, saved = time.monotonic(), time.process_time(), 0.0, time.monotonic()
    for start in range(0, len(log), BATCH):
        portion = log[start : start + BATCH]
        before = time.process_time()
        entries = [entry(record) for record in portion]
        decode += time.process_time() - before
        shard.apply(entries, portion[-1].offset + 1)
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            shard.checkpoint(SystemClock().now())
            saved = time.monotonic()
        progress.update(bar, completed=start + len(portion))
    return Applied(len(log), time.monotonic() - began, time.process_time() - used, decode)


def asked(shard: Shard, sample: Sample, mode: Mode, *, searches: int = SEARCHES) -> Asked:
    """Ask the catalogue's queries in turn, one at a time, of what is there at that moment."""

    def ask(number: int) -> list[str]:
        query = Query(vector=sample.queries[number], text=sample.texts[number], k=K, mode=mode)
        return [hit.product_id for hit in shard.view.search(query)]

    return _timed(ask, len(sample.texts), searches)


def _timed(ask: Callable[[int], list[str]], queries: int, searches: int) -> Asked:
    seconds, found = [], []
    for number in range(searches):
        began = time.perf_counter()
        found.append(ask(number % queries))
        seconds.append(time.perf_counter() - began)
    return Asked(seconds, found)


def _flat(sample: Sample) -> tuple["faiss.IndexFlatIP", float]:
    """Return FAISS' flat index of what lives, and how many vectors a second it takes."""
    index = faiss.IndexFlatIP(sample.vectors.shape[1])
    wanted = np.ascontiguousarray(sample.vectors[list(sample.alive.values())])
    began = time.monotonic()
    for start in range(0, len(wanted), BATCH):
        index.add(wanted[start : start + BATCH])
    return index, len(wanted) / (time.monotonic() - began)


def _exact(index: "faiss.IndexFlatIP", sample: Sample) -> tuple[Asked, list[list[str]]]:
    """Return FAISS' times, and its answers, which are exact."""
    names = [name_of(product) for product in sample.alive]

    def ask(number: int) -> list[str]:
        _, found = index.search(sample.queries[number][None, :], K)
        return [names[row] for row in found[0]]

    timed = _timed(ask, len(sample.texts), SEARCHES)
    return timed, timed.found


def _under_writes(shard: Shard, sample: Sample) -> Asked:
    """Search while overwrites arrive from another thread, as the worker's loop hands them over."""
    end = threading.Event()

    def write() -> None:
        for start in range(0, len(sample.later), WRITES_AT_ONCE):
            began = time.monotonic()
            portion = sample.later[start : start + WRITES_AT_ONCE]
            shard.apply([entry(record) for record in portion], portion[-1].offset + 1)
            if end.wait(max(0.0, began + WRITES_AT_ONCE / WRITES_A_SECOND - time.monotonic())):
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return asked(shard, sample, "dense")
    finally:
        end.set()
        writer.join()
