"""Libraries that find vectors in process, beside the dense searches of `bench search`: no HTTP, no words."""

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import faiss
import numpy as np

from services.lab.benchmarks.loading import quantile
from services.lab.benchmarks.search_engines import K
from services.lab.benchmarks.search_material import IndexedProducts, Questions
from services.lab.report import ReportRow
from shared.arrays import Vectors

ROUNDS = 3
Nearest = Callable[[Vectors], list[int]]
"""From a vector to the rows nearest to it."""
PEERS = {"usearch": "usearch", "qdrant-edge": "qdrant_edge"}
"""By name, the module to be had with it: `pip install usearch qdrant-edge-py`."""


def exact(products: IndexedProducts) -> Nearest:
    """Return FAISS' flat scan: exact, on one thread."""
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(products.vectors.shape[1])
    index.add(np.ascontiguousarray(products.vectors))
    return lambda vector: [int(row) for row in index.search(vector[None, :], K)[1][0]]


def measure(
    products: IndexedProducts, questions: Questions, *, say: Callable[[str], None]
) -> tuple[list[ReportRow], list[list[int]]]:
    """Return p50 and recall of each peer that is installed, and the exact answers; `say` gets what is not."""
    flat = exact(products)
    truth = [flat(vector) for vector in questions.vectors]
    rows = _rows("FAISS flat", flat, questions, truth)
    with TemporaryDirectory(prefix="headrace-bench-") as directory:
        for name, module in PEERS.items():
            if importlib.util.find_spec(module) is None:
                say(f"{name} is not installed and not measured")
                continue
            try:
                built = _usearch(products) if name == "usearch" else _qdrant_edge(products, Path(directory))
            except ImportError as error:
                say(f"{name} is not measured: {error}")
                continue
            rows += _rows(name, built, questions, truth)
    return rows, truth


def recall(truth: list[list[int]], answers: list[list[int]]) -> float:
    """Return which share of the true answers was found, over all questions."""
    hits = sum(len(set(right) & set(given)) for right, given in zip(truth, answers, strict=True))
    return hits / max(1, sum(map(len, truth)))


def _rows(name: str, nearest: Nearest, questions: Questions, truth: list[list[int]]) -> list[ReportRow]:
    seconds, answers = [], list[list[int]]()
    for _ in range(ROUNDS):
        answers = []
        for vector in questions.vectors:
            began = time.perf_counter()
            answers.append(nearest(vector))
            seconds.append(time.perf_counter() - began)
    note = f"vectors alone, in process, one thread; recall@10 {recall(truth, answers):.3f}"
    return [ReportRow(f"{name} p50", quantile(seconds, 0.5) * 1000, "ms", note=note)]


def _usearch(products: IndexedProducts) -> Nearest:
    module: Any = importlib.import_module("usearch.index")  # Any: an optional package, without types
    index = module.Index(ndim=products.vectors.shape[1], metric="ip", dtype="f16")
    index.add(np.arange(len(products.ids)), products.vectors, threads=1)
    return lambda vector: [int(key) for key in index.search(vector, K, threads=1).keys]


def _qdrant_edge(products: IndexedProducts, directory: Path) -> Nearest:
    edge: Any = importlib.import_module("qdrant_edge")  # Any: likewise
    size = products.vectors.shape[1]
    settings = edge.EdgeConfig(vectors=edge.EdgeVectorParams(size=size, distance=edge.Distance.Dot))
    shard = edge.EdgeShard.create(str(directory), settings)
    points = [edge.Point(row, vector.tolist(), {}) for row, vector in enumerate(products.vectors)]
    shard.update(edge.UpdateOperation.upsert_points(points))
    shard.optimize()

    def nearest(vector: Vectors) -> list[int]:
        request = edge.QueryRequest(query=edge.Query.Nearest(vector.tolist()), limit=K)
        return [point.id for point in shard.query(request)]

    return nearest
